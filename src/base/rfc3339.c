/* base/rfc3339.c: a part after the other, each of a fixed number of digits. */
#include "base/rfc3339.h"
#include <time.h>

/* `count` digits. */
static bool rfc3339_take_number(struct str *rest, size_t count, int *out)
{
    int number = 0;
    if (rest->len < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!char_is_digit(rest->at[i]))
            return false;
        number = number * 10 + (rest->at[i] - '0');
    }
    *rest = (struct str){ rest->at + count, rest->len - count };
    *out = number;
    return true;
}

/* One of these characters. */
static bool rfc3339_take_char(struct str *rest, const char *any, char *taken)
{
    if (rest->len == 0 || !rest->at[0] || !strchr(any, rest->at[0]))
        return false;
    if (taken)
        *taken = rest->at[0];
    *rest = (struct str){ rest->at + 1, rest->len - 1 };
    return true;
}

static bool rfc3339_take_date(struct str *rest, struct tm *tm)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (!rfc3339_take_number(rest, 4, &tm->tm_year) || !rfc3339_take_char(rest, "-", NULL) ||
        !rfc3339_take_number(rest, 2, &tm->tm_mon) || !rfc3339_take_char(rest, "-", NULL) ||
        !rfc3339_take_number(rest, 2, &tm->tm_mday))
        return false;
    if (tm->tm_year < 1970 || tm->tm_mon < 1 || tm->tm_mon > 12)
        return false;
    const bool is_leap = tm->tm_year % 4 == 0 && (tm->tm_year % 100 != 0 || tm->tm_year % 400 == 0);
    return tm->tm_mday >= 1 && tm->tm_mday <= days[tm->tm_mon - 1] + (tm->tm_mon == 2 && is_leap);
}

static bool rfc3339_take_time(struct str *rest, struct tm *tm)
{
    int digit = 0;
    if (!rfc3339_take_number(rest, 2, &tm->tm_hour) || !rfc3339_take_char(rest, ":", NULL) ||
        !rfc3339_take_number(rest, 2, &tm->tm_min) || !rfc3339_take_char(rest, ":", NULL) ||
        !rfc3339_take_number(rest, 2, &tm->tm_sec))
        return false;
    if (rfc3339_take_char(rest, ".", NULL)) {
        if (!rfc3339_take_number(rest, 1, &digit))
            return false;
        while (rfc3339_take_number(rest, 1, &digit))
            continue;
    }
    return tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 60;
}

/* *out: seconds that the local time is ahead of UTC. */
static bool rfc3339_take_offset(struct str *rest, int *out)
{
    int hours = 0, minutes = 0;
    char sign = 'Z';
    *out = 0;
    if (rfc3339_take_char(rest, "Zz", NULL))
        return true;
    if (!rfc3339_take_char(rest, "+-", &sign) || !rfc3339_take_number(rest, 2, &hours) ||
        !rfc3339_take_char(rest, ":", NULL) || !rfc3339_take_number(rest, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *out = (sign == '-' ? -1 : 1) * (hours * 60 + minutes) * 60;
    return true;
}

bool rfc3339_read(struct str text, int64_t *out)
{
    struct tm tm = { 0 };
    int offset_s = 0;
    if (!rfc3339_take_date(&text, &tm) || !rfc3339_take_char(&text, "Tt ", NULL) || !rfc3339_take_time(&text, &tm) ||
        !rfc3339_take_offset(&text, &offset_s) || text.len > 0)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    const int64_t at_s = (int64_t)timegm(&tm) - offset_s;
    if (at_s < 0)
        return false;
    *out = at_s;
    return true;
}

struct str rfc3339_write(struct arena *arena, int64_t at_s)
{
    struct tm tm;
    time_t at = (time_t)at_s;
    char text[40];
    gmtime_r(&at, &tm);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return arena_copy(arena, (struct str){ text, len });
}
