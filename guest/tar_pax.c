#include "tar.h"

#include <string.h>

/* The length that a record begins with, its own digits counted; 0 where it is none. */
static size_t record_bytes(const uint8_t *bytes, size_t left, size_t *digits) {
    size_t length = 0, at = 0;
    while (at < left && at < 8 && bytes[at] >= '0' && bytes[at] <= '9')
        length = 10 * length + (size_t)(bytes[at++] - '0');
    *digits = at;
    return at > 0 && at < left && bytes[at] == ' ' && length <= left && length > at + 3 ? length : 0;
}

int tar_check_records(uint8_t *bytes, size_t length) {
    size_t digits;
    for (size_t at = 0, size; at < length; at += size) {
        size = record_bytes(bytes + at, length - at, &digits);
        if (size == 0 || bytes[at + size - 1] != '\n')
            return -EBADMSG;
        uint8_t *keyword = bytes + at + digits + 1, *equals = memchr(keyword, '=', size - digits - 2);
        if (equals == NULL || equals == keyword || memchr(keyword, 0, (size_t)(equals - keyword)) != NULL)
            return -EBADMSG;
        *equals = bytes[at + size - 1] = '\0';
    }
    return 0;
}

bool tar_next_record(const uint8_t *bytes, size_t length, size_t *at, struct tar_record *record) {
    size_t digits;
    if (*at >= length)
        return false;
    size_t size = record_bytes(bytes + *at, length - *at, &digits);
    record->keyword = (const char *)bytes + *at + digits + 1;
    record->value = record->keyword + strlen(record->keyword) + 1;
    record->length = (size_t)((const char *)bytes + *at + size - 1 - record->value);
    *at += size;
    return true;
}

int tar_record_number(const char *text, int64_t *value) {
    bool negative = text[0] == '-';
    const char *digits = text + negative;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 18 || digits[count] != '\0')
        return -EBADMSG;
    *value = 0;
    for (size_t i = 0; i < count; i++)
        *value = 10 * *value + (digits[i] - '0');
    if (negative)
        *value = -*value;
    return 0;
}

int tar_record_time(const char *text, struct tar_time *time) {
    bool negative = text[0] == '-';
    const char *digits = text + negative;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 18)
        return -EBADMSG;
    time->seconds = 0;
    for (size_t i = 0; i < count; i++)
        time->seconds = 10 * time->seconds + (digits[i] - '0');
    const char *fraction = digits[count] == '.' ? digits + count + 1 : "";
    if ((digits[count] != '\0' && digits[count] != '.') || fraction[strspn(fraction, "0123456789")] != '\0')
        return -EBADMSG;
    time->nanoseconds = 0;
    for (int i = 0; i < 9; i++)
        time->nanoseconds = 10 * time->nanoseconds + (*fraction == '\0' ? 0 : (uint32_t)(*fraction++ - '0'));
    if (!negative)
        return 0;
    /* timespec(3type) counts nanoseconds upwards, whatever the seconds' sign. */
    time->seconds = -time->seconds - (time->nanoseconds > 0);
    time->nanoseconds = time->nanoseconds > 0 ? 1000000000u - time->nanoseconds : 0;
    return 0;
}

static int base64_digit(uint8_t byte) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = byte == '\0' ? NULL : strchr(alphabet, byte);
    return found == NULL ? -1 : (int)(found - alphabet);
}

int tar_decode_base64(uint8_t *bytes, size_t *length) {
    size_t in = 0, out = 0, end = *length;
    uint32_t bits = 0, held = 0;
    while (end > 0 && bytes[end - 1] == '=')
        end--;
    for (; in < end; in++) {
        int digit = base64_digit(bytes[in]);
        if (digit < 0)
            return -EBADMSG;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[out++] = (uint8_t)(bits >> held);
        }
    }
    *length = out;
    return 0;
}
