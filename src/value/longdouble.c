/* INCRBYFLOAT counts in `long double`, which Rust does not have: on x86-64 that is the 80-bit
 * format of the x87, elsewhere whatever the C compiler says. A reply must match the stock
 * command's to the last digit, on every machine, so the same C library does the same three steps
 * as the server does: strtold, one addition, "%.17Lf" with the zeros at the end removed.
 *
 * No long double crosses the border: text goes in, text comes out. */

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest text that stock Redis takes for a float, its end mark included. */
#define TEXT_MAX (5 * 1024)

enum { NOT_A_VALUE = -1, NOT_AN_INCREMENT = -2, NOT_FINITE = -3 };

/* Reads all of `text` as a number, as strictly as the server: no space before it, nothing after
 * it, no NaN, nothing too large or too small to tell from infinity or zero. */
static int parse(const char *text, size_t len, long double *number) {
    char copy[TEXT_MAX];
    char *end;

    if (len == 0 || len >= sizeof(copy)) return 0;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (isspace((unsigned char)copy[0])) return 0;

    errno = 0;
    *number = strtold(copy, &end);
    if ((size_t)(end - copy) != len) return 0;
    if (errno == EINVAL || isnan(*number)) return 0;
    return !(errno == ERANGE &&
             (*number == HUGE_VAL || *number == -HUGE_VAL || *number == 0));
}

/* Writes a finite `number` for people: no exponent, no zeros at the end, no "-0". */
static int format(long double number, char *text, size_t room) {
    int len = snprintf(text, room, "%.17Lf", number);

    if (len < 0 || (size_t)len >= room) return NOT_FINITE;
    if (strchr(text, '.') != NULL) {
        while (text[len - 1] == '0') len--;
        if (text[len - 1] == '.') len--;
    }
    if (len == 2 && text[0] == '-' && text[1] == '0') {
        text[0] = '0';
        len = 1;
    }
    return len;
}

/* Adds two numbers given as text. Returns the length of the sum in `sum` (`room` bytes, no end
 * mark promised), or which of the three steps failed. */
int redis_numa_add_floats(const char *value, size_t value_len, const char *increment,
                          size_t increment_len, char *sum, size_t room) {
    long double a, b;

    if (!parse(value, value_len, &a)) return NOT_A_VALUE;
    if (!parse(increment, increment_len, &b)) return NOT_AN_INCREMENT;
    a += b;
    if (isnan(a) || isinf(a)) return NOT_FINITE;
    return format(a, sum, room);
}
