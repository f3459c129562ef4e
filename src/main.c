/* main.c: the subcommands, as a table. */
#include "cli/cli.h"
#include "lambda/lambda.h"
#include "observe/log.h"
#include "observe/log_writer.h"
#include "version.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* If a standard descriptor is closed at the start, the first file or socket that is opened would get its number, and
 * lines for standard error would be written into it. Opened the other way round, reading and writing fail as before. */
static bool main_hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

/* The resolver would wait 10 s for a name server that does not answer (resolv.conf(5)), and the look-ups of libpq and
 * of Redis would take as long. Set before there is a thread; an existing RES_OPTIONS is kept. */
static void main_limit_look_ups(void)
{
    (void)setenv("RES_OPTIONS", "timeout:1 attempts:2", 0);
}

/* From here on nothing waits for a reader of standard error; what is said at the end is still written. */
static int main_serve(struct app *app)
{
    struct err err = log_writer_start();
    if (!err.code)
        err = app_serve(app);
    int code = report(err);
    app_close(app);
    log_writer_stop();
    return code;
}

static void main_warn_of_unknown(struct str name, const char *meant)
{
    LOG(LOG_WARN, "unknown_setting", LOG_STR("variable", name), LOG_TEXT_("meant", meant));
}

static int main_command_serve(int argc, char **argv)
{
    bool check_only = false;
    const struct option_row rows[] = { { "--check-config", OPTION_SWITCH, &check_only, NULL } };
    struct app app = { 0 };
    if (!options_read(argc, argv, rows, 1, NULL, 0, &app.settings))
        return EXIT_USAGE;
    int code = EXIT_OK;
    settings_tell_unknown(main_warn_of_unknown);
    if (check_only) {
        code = report(app_check_settings(&app));
        if (code == EXIT_OK)
            settings_print_values(&app.settings, stdout);
        app_close(&app);
    } else {
        code = main_serve(&app);
    }
    settings_release(&app.settings);
    return code;
}

/* Its log is written by the threads themselves: a frozen process has no thread that would write a line in time. */
static int main_serve_lambda(int argc, char **argv, struct lambda *lambda)
{
    struct app app = { 0 };
    if (!options_read(argc, argv, NULL, 0, NULL, 0, &app.settings)) {
        lambda_tell_failed_start(lambda, failed(ERR_INVALID_REQUEST, "the settings are wrong: the log says which"));
        return EXIT_USAGE;
    }
    settings_tell_unknown(main_warn_of_unknown);
    const int code = report(app_serve_lambda(&app, lambda));
    app_close(&app);
    settings_release(&app.settings);
    return code;
}

static int main_command_lambda(int argc, char **argv)
{
    struct lambda *lambda = NULL;
    const struct err err = lambda_open(&lambda);
    const int code = err.code ? report(err) : main_serve_lambda(argc, argv, lambda);
    lambda_close(lambda);
    return code;
}

static int main_command_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("token-service " TOKEN_SERVICE_VERSION);
    return EXIT_OK;
}

static int main_command_help(int argc, char **argv);

static const struct command commands[] = {
    { "serve",
      main_command_serve,
      "Serves requests until SIGTERM. --check-config prints the settings and exits.",
      { "[--check-config]" } },
    { "lambda",
      main_command_lambda,
      "Serves as a function of AWS Lambda, where this is what runs without a command.",
      { "" } },
    { "token",
      command_token,
      "Issues a token; verifies, inspects or revokes one read from standard input; or revokes many.",
      { "issue --client ID [--subject SUB] [--scope \"A B\"] [--type access|refresh|id]\n"
        "[--audience AUD] [--expires-in S] [--claims JSON] [--nonce N] [--json]",
        "verify [--type KIND] [--audience AUD] [--subject SUB] [--nonce N]\n"
        "[--require-issuer ISS] [--json]",
        "verify --key JWK_FILE", "inspect", "revoke [--reason TEXT] [--json]",
        "revoke --subject SUB | --client ID | --session SID | --everything\n"
        "[--before S] [--reason TEXT] [--json]" } },
    { "clients",
      command_clients,
      "Manages clients. A secret is shown once; FILE has a JSON object of what a client registers.",
      { ("add --id ID [--scope \"A B\"] [--name NAME] [--public | --auth-method METHOD]\n"
         "[--grant TYPE]... [--redirect-uri URI]... [--post-logout-redirect-uri URI]...\n"
         "[--jwks-uri URI] [--metadata FILE|-] [--access-ttl S] [--refresh-ttl S]\n"
         "[--id-ttl S] [--json]"),
        "list [--json]", "show ID [--json]",
        ("change ID [--scope \"A B\"] [--name NAME] [--auth-method METHOD]\n"
         "[--grant TYPE]... [--redirect-uri URI]... [--post-logout-redirect-uri URI]...\n"
         "[--jwks-uri URI] [--metadata FILE|-] [--access-ttl S] [--refresh-ttl S]\n"
         "[--id-ttl S] [--drop-old-secret] [--json]"),
        "secret ID [--overlap S] [--json]", "disable ID", "enable ID", "delete ID" } },
    { "users",
      command_users,
      "Manages the built-in login's users. A password is asked for, or read from standard input.",
      { "add NAME [--subject SUB] [--claim NAME=VALUE]... [--json]", "list [--json]",
        "change NAME --claim NAME=VALUE...", "password | disable | enable | remove NAME" } },
    { "sessions",
      command_sessions,
      "Lists who is signed in; ends a session, or all of a user's, with their tokens.",
      { "list [--subject SUB] [--json]", "end SID | --subject SUB" } },
    { "keys",
      command_keys,
      "Shows the signing keys and what happens to them next; rotates them, or revokes one at once.",
      { "list | plan [--json]", "show | explain KID [--json]", "rotate [--immediate] [--json]",
        "revoke KID [--reason TEXT] [--json]" } },
    { "doctor", command_doctor, "Checks every part that serving needs.", { "[--json]" } },
    { "migrate",
      command_migrate,
      "Says whether a shared database has the schema it needs; prints or applies it.",
      { "[--apply | --print] [--down]" } },
    { "version", main_command_version, "Prints the version.", { "" } },
    { "help",
      main_command_help,
      "Prints this text, a command's part of it, a man page, or the settings as Markdown.",
      { "[COMMAND|man|markdown]" } },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const struct command *main_command_named(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int main_refuse(const char *name)
{
    fprintf(stderr, "token-service: there is no command \"%s\" (see token-service --help)\n", name);
    return EXIT_USAGE;
}

static int main_command_help(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    const struct command *command = main_command_named(what);
    if (strcmp(what, "man") == 0)
        print_man(commands, COMMANDS);
    else if (strcmp(what, "markdown") == 0)
        settings_print_markdown(stdout);
    else if (command)
        print_help_of(command);
    else if (what[0] && what[0] != '-')
        return main_refuse(what);
    else
        print_help(commands, COMMANDS);
    return EXIT_OK;
}

static bool main_asks_for_help(const char *arg)
{
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* In AWS Lambda the program is called bootstrap, and gets no command, or a word that names a handler. */
static bool main_is_bootstrap(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return path && strcmp(slash ? slash + 1 : path, "bootstrap") == 0;
}

static bool main_is_command(const char *name)
{
    return main_command_named(name) || name[0] == '-';
}

static int main_run(int argc, char **argv)
{
    const bool is_bootstrap = main_is_bootstrap(argv[0]);
    if (argc < 2 && (is_bootstrap || lambda_is_wanted()))
        return main_command_lambda(argc, argv);
    if (is_bootstrap && !main_is_command(argv[1]))
        return main_command_lambda(1, argv);
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    for (int i = 1; i < argc; i++)
        if (main_asks_for_help(argv[i]))
            return main_command_help(argc, argv);
    const struct command *command = main_command_named(name);
    if (command)
        return command->run(argc > 1 ? argc - 1 : argc, argc > 1 ? argv + 1 : argv);
    if (strcmp(name, "--check-config") == 0)
        return main_command_serve(argc, argv);
    return main_refuse(name);
}

/* What was printed may still lie in a buffer: an output that is not there must not look like a success. */
static int main_end(int code)
{
    if (output_is_written() && fclose(stdout) == 0)
        return code;
    if (code == EXIT_OK)
        fputs("token-service: the output could not be written\n", stderr);
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    if (!main_hold_standard_streams())
        return EXIT_FAILED;
    main_limit_look_ups();
    app_prepare();
    return main_end(main_run(argc, argv));
}
