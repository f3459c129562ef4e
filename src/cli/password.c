/* cli/password.c: a password for a command: typed twice at a terminal that doesn't show it, or all of standard input.
 * Never an argument, which every user of the machine can read, and which the shell remembers. */
#include "base/json.h"
#include "cli/cli.h"
#include "jose/password.h"
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

enum { LEAST_CHARACTERS = 8, INTERRUPT = 3 }; /* of Ctrl-C, which arrives as a character here */

static const struct err given_up = { ERR_INVALID_REQUEST, "no password was given" };

/* Reads a line without its end; false: there is none, or Ctrl-C ended it. */
static bool password_read_line(char *to, size_t size, size_t *len)
{
    const ssize_t got = read(STDIN_FILENO, to, size);
    *len = got > 0 ? (size_t)got : 0;
    if (*len == 0 || to[*len - 1] != '\n')
        return false;
    --*len;
    return true;
}

/* Whatever signal comes meanwhile waits until the terminal shows again what is typed. */
static bool password_ask(const char *prompt, char *to, size_t size, size_t *len)
{
    struct termios before, hidden;
    sigset_t all, old;
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    hidden = before;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    hidden.c_lflag |= ICANON;
    hidden.c_cc[VEOL] = INTERRUPT;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    bool good = tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
    fputs(prompt, stderr);
    good = good && password_read_line(to, size, len);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return good;
}

static struct err password_type_twice(struct arena *arena, struct str *out)
{
    enum { ROOM = PASSWORD_MAX + 2 };
    char *first = arena_alloc(arena, ROOM), second[ROOM];
    size_t len = 0, again = 0;
    if (!password_ask("Password: ", first, ROOM, &len) || !password_ask("Once more: ", second, ROOM, &again))
        return given_up;
    const bool same = str_eq((struct str){ first, len }, (struct str){ second, again });
    mem_wipe(second, sizeof second);
    *out = (struct str){ first, len };
    if (same)
        return OK;
    mem_wipe(first, ROOM);
    return failed(ERR_INVALID_REQUEST, "the two passwords differ");
}

static struct err password_judge(struct str password)
{
    size_t characters = 0;
    if (!utf8_valid(password))
        return failed(ERR_INVALID_REQUEST, "the password is not valid UTF-8");
    for (size_t i = 0; i < password.len; i++) {
        const unsigned char c = (unsigned char)password.at[i];
        if (c < 0x20 || c == 0x7f)
            return failed(ERR_INVALID_REQUEST, "the password has a line break or another control character");
        characters += (c & 0xc0) != 0x80;
    }
    if (characters < LEAST_CHARACTERS)
        return failed(ERR_INVALID_REQUEST, "the password has fewer than 8 characters");
    return password.len <= PASSWORD_MAX ? OK : failed(ERR_INVALID_REQUEST, "the password has more than 1024 bytes");
}

struct err read_password(struct arena *arena, struct str *out)
{
    if (isatty(STDIN_FILENO))
        TRY(password_type_twice(arena, out));
    else if (!read_stdin(arena, out))
        return given_up;
    return password_judge(*out);
}
