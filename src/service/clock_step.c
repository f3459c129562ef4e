/* service/clock_step.c: one line, "<seen at, s> ahead|back <by, ms>", in a file of the data directory. */
#include "service/clock_step.h"
#include "cache/cache.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 3200, LINE_ROOM = 64 };

static int clock_step_open_file(const struct settings *settings, int flags)
{
    char path[PATH_ROOM];
    int len = snprintf(path, sizeof path, "%s/clock-step", settings->data_dir);
    return len > 0 && (size_t)len < sizeof path ? open(path, flags | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR) : -1;
}

void clock_step_note(const struct settings *settings, int64_t at_s, int64_t step_ms)
{
    int file = clock_step_open_file(settings, O_WRONLY | O_CREAT | O_TRUNC);
    if (file < 0)
        return;
    (void)dprintf(file, "%lld %s %lld\n", (long long)at_s, step_ms < 0 ? "back" : "ahead",
                  (long long)(step_ms < 0 ? -step_ms : step_ms));
    close(file);
}

bool clock_step_last(const struct settings *settings, int64_t *at_s, int64_t *step_ms)
{
    char line[LINE_ROOM];
    struct str rest, first, way;
    int file = clock_step_open_file(settings, O_RDONLY);
    if (file < 0)
        return false;
    ssize_t len = read(file, line, sizeof line);
    close(file);
    if (len <= 0 || line[len - 1] != '\n')
        return false;
    rest = (struct str){ line, (size_t)len - 1 };
    if (!str_cut(&rest, ' ', &first) || !str_cut(&rest, ' ', &way) || !str_number(first, CACHE_MARK_MAX, at_s) ||
        !str_number(rest, CACHE_MARK_MAX, step_ms))
        return false;
    if (str_eq(way, STR("back")))
        *step_ms = -*step_ms;
    return true;
}
