"""The OCI image format as pure values: what names, describes and makes up an image. Nothing here does I/O.

reference     what a user calls an image        digest        what its bytes are called
platform      what a machine can run            descriptor    media type, digest and size of some bytes
manifest      Manifest, Index, decode()         image_config  how to run what the layers hold
image         Image and Layer: manifest and config, checked against each other
media_types   every media type that firkin knows
"""
