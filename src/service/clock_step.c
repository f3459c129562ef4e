/* service/clock_step.c: one line, "<seen at, s> <step, ms>", in a file of the data directory. */
#include "service/clock_step.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 3200, LINE_ROOM = 64 };

static int open_file(const struct settings *settings, int flags)
{
    char path[PATH_ROOM];
    int len = snprintf(path, sizeof path, "%s/clock-step", settings->data_dir);
    return len > 0 && (size_t)len < sizeof path ? open(path, flags | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR) : -1;
}

void clock_step_note(const struct settings *settings, int64_t at_s, int64_t step_ms)
{
    int file = open_file(settings, O_WRONLY | O_CREAT | O_TRUNC);
    if (file < 0)
        return;
    (void)dprintf(file, "%lld %lld\n", (long long)at_s, (long long)step_ms);
    close(file);
}

bool clock_step_last(const struct settings *settings, int64_t *at_s, int64_t *step_ms)
{
    char line[LINE_ROOM];
    long long at, step;
    int file = open_file(settings, O_RDONLY);
    if (file < 0)
        return false;
    ssize_t len = read(file, line, sizeof line - 1);
    close(file);
    if (len <= 0)
        return false;
    line[len] = '\0';
    if (sscanf(line, "%18lld %18lld", &at, &step) != 2)
        return false;
    *at_s = at;
    *step_ms = step;
    return true;
}
