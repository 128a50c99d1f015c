/* Programs of other architectures: emulators out of the initramfs, registered with binfmt_misc. */
#pragma once

/* Registers what /translators.list names, saying on the console which one failed. */
void translators_register(void);
