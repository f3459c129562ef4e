/* cli/cli.h: the command line: a third front over the same operations. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "app.h"

/* What a command ends with; in the man page and docs too. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_NO = 1,     /* asked and denied: a token that isn't valid, a client that doesn't exist */
    EXIT_USAGE = 2,  /* a wrong argument or setting */
    EXIT_FAILED = 3, /* the store, a file or the system failed */
};

/* A command's own option. Settings' flags may stand beside them. */
enum option_kind { OPTION_TEXT, OPTION_TEXTS, OPTION_SWITCH, OPTION_SECONDS };
enum { OPTION_TEXTS_MAX = 32 };
struct option_texts {
    const char *at[OPTION_TEXTS_MAX];
    size_t count;
};
struct option_row {
    const char *flag; /* "--id" */
    enum option_kind kind;
    void *to;          /* const char **, struct option_texts * (it may come several times), bool *, int64_t * */
    const char *verbs; /* the first words beside which it may stand, separated by spaces; NULL: any */
};

/* Reads argv: the command's own options, the settings' flags, and at most `words_max` plain words. Says what is wrong
 * on standard error and returns false, also for an option that this verb would leave unread. *settings is filled
 * (environment, then flags) and the caller's to release. */
MUST_USE bool options_read(int argc, char **argv, const struct option_row *rows, size_t count, const char **words,
                           size_t words_max, struct settings *settings);

/* Runs POST `path` with a JSON body as the local operator, through the same route as HTTP, and waits until its records
 * are durable. Returns the response's status; *answer is in the arena. */
int operator_call(struct app *app, struct arena *arena, const char *path, struct str body, struct str *answer);

/* The same for a call without a body: "GET", "DELETE". Path and query as they stand in a URL, percent-encoded. */
int operator_ask(struct app *app, struct arena *arena, const char *method, struct str path, struct str query,
                 struct str *answer);

/* All of standard input, at most 64 KiB, without a trailing line break; false when there is more or nothing. */
MUST_USE bool read_stdin(struct arena *arena, struct str *out);
/* All of a file, likewise at most 64 KiB; false when it can't be read, or there is more. */
MUST_USE bool read_file(struct arena *arena, const char *path, struct str *out);

/* A password: from a terminal, which doesn't show it, asked for twice; else all of standard input, without a trailing
 * line break. In the arena: wipe it. ERR_INVALID_REQUEST when there is none, or one that may not be set: below 8
 * characters, above 1024 bytes, not UTF-8, or with control characters. */
MUST_USE struct err read_password(struct arena *arena, struct str *out);

/* Whether all that was printed until now has been taken; what can't be (a full disk, a reader that has gone) is seen
 * here, or at the end of the command at the latest, which main() looks at. */
MUST_USE bool output_is_written(void);

/* Says an error on standard error and returns the exit code that fits it. */
int report(struct err err);

/* A command: what it is called and does, and what may follow its name, a form a line. */
enum { COMMAND_FORMS_MAX = 8 };
struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
    const char *forms[COMMAND_FORMS_MAX];
};

/* --help, that of one command, and the man page in roff, on standard output. */
void print_help(const struct command *commands, size_t count);
void print_help_of(const struct command *command);
void print_man(const struct command *commands, size_t count);

/* The commands: argv[0] is the command's own name. They return an exit code. */
int command_token(int argc, char **argv);
int command_clients(int argc, char **argv);
int command_users(int argc, char **argv);
int command_sessions(int argc, char **argv);
int command_keys(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_migrate(int argc, char **argv);

#endif
