/* fuzz/rfc3339.c: what is read as a time is one that can be written again, and then is read as the same; and an offset
 * moves it by just that. */
#include "fuzz.h"
#include "base/rfc3339.h"
#include <stdio.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = input_of(data, size);
    int64_t at_s = -1, again_s = -1;
    char written[64];
    struct tm tm;
    if (!rfc3339_read(text, &at_s)) {
        PROMISE(at_s == -1);
        return 0;
    }
    PROMISE(at_s >= 0 && at_s <= INT64_C(253402300800) + 86400 && text.len >= 20);
    const time_t at = (time_t)at_s;
    PROMISE(gmtime_r(&at, &tm));
    if (tm.tm_year > 8099) /* an offset led into the year 10000 */
        return 0;
    PROMISE(strftime(written, sizeof written, "%Y-%m-%dT%H:%M:%SZ", &tm) == 20);
    PROMISE(rfc3339_read(str_of(written), &again_s) && again_s == at_s);
    if (at_s < 3600)
        return 0;
    snprintf(written + 19, sizeof written - 19, "+01:00");
    PROMISE(rfc3339_read(str_of(written), &again_s) && again_s == at_s - 3600);
    return 0;
}
