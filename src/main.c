/* main.c: the subcommands, as a table, and the help that is printed from it. */
#include "cli/cli.h"
#include "observe/log.h"
#include "version.h"
#include <stdio.h>

static int command_serve(int argc, char **argv)
{
    bool check_only = false;
    const struct option_row rows[] = { { "--check-config", OPTION_SWITCH, &check_only } };
    struct app app = { 0 };
    if (!options_read(argc, argv, rows, 1, NULL, 0, &app.settings))
        return EXIT_USAGE;
    int code = EXIT_OK;
    settings_warn_unknown(stderr);
    if (check_only) {
        settings_print_values(&app.settings, stdout);
    } else {
        log_configure((enum log_level)app.settings.log_level, (enum log_format)app.settings.log_format);
        code = report(app_serve(&app));
    }
    app_close(&app);
    settings_release(&app.settings);
    return code;
}

static int command_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("token-service " TOKEN_SERVICE_VERSION);
    return EXIT_OK;
}

static int command_help(int argc, char **argv);

enum { FORMS_MAX = 4 };
static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
    const char *forms[FORMS_MAX]; /* what may follow the name */
} commands[] = {
    { "serve", command_serve, "Listens and answers until SIGTERM. --check-config prints the settings and ends.",
      { "[--check-config]" } },
    { "token", command_token, "Does to a token what the service would. Tokens are read from standard input.",
      { "issue --client ID [--subject SUB] [--scope \"A B\"] [--type access|refresh|id]\n"
        "[--audience AUD] [--expires-in S] [--claims JSON] [--nonce N] [--json]",
        "verify [--key JWK_FILE | --type KIND --audience AUD --subject SUB --nonce N\n"
        "--require-issuer ISS] [--json]",
        "inspect", "revoke [--reason TEXT] [--json]" } },
    { "clients", command_clients, "Says who may call. add prints client_id and client_secret, once.",
      { "add --id ID --scope \"A B\" [--name NAME] [--public] [--access-ttl S]\n"
        "[--refresh-ttl S] [--id-ttl S] [--json]",
        "list [--json]", "disable ID", "enable ID" } },
    { "keys", command_keys, "Lists the signing keys and their states.", { "list [--json]" } },
    { "doctor", command_doctor, "Tries every part that serving needs.", { "[--json]" } },
    { "version", command_version, "Prints the version.", { "" } },
    { "help", command_help, "Prints this text, or a man page, or the settings as Markdown.", { "[man|markdown]" } },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const struct {
    enum exit_code code;
    const char *means;
} exits[] = {
    { EXIT_OK, "Done." },
    { EXIT_NO, "Denied, not valid or not found." },
    { EXIT_USAGE, "A wrong argument or setting." },
    { EXIT_FAILED, "A part failed: the store, a file or the system." },
};

static void print_help(void)
{
    puts("token-service: issues, verifies, introspects and revokes JSON Web Tokens\n\nusage: token-service COMMAND "
         "[OPTIONS]\n\ncommands:");
    for (size_t i = 0; i < COMMANDS; i++) {
        for (size_t form = 0; form < FORMS_MAX && commands[i].forms[form]; form++) {
            printf("  %s%s", commands[i].name, commands[i].forms[form][0] ? " " : "");
            for (const char *at = commands[i].forms[form]; *at; at++) {
                putchar(*at);
                if (*at == '\n')
                    fputs("              ", stdout);
            }
            putchar('\n');
        }
        printf("        %s\n", commands[i].about);
    }
    puts("\nexit status:");
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        printf("  %d  %s\n", (int)exits[i].code, exits[i].means);
    putchar('\n');
    settings_print_help(stdout);
}

static void print_man_commands(void)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        for (size_t form = 0; form < FORMS_MAX && commands[i].forms[form]; form++) {
            printf("%s\n\\fB%s\\fR%s", form == 0 ? ".TP" : ".TQ", commands[i].name,
                   commands[i].forms[form][0] ? " " : "");
            roff_print(stdout, commands[i].forms[form]);
            putchar('\n');
        }
        roff_print(stdout, commands[i].about);
        putchar('\n');
    }
}

static void print_man(void)
{
    puts(".TH TOKEN-SERVICE 1 2026-11-24 \"token-service " TOKEN_SERVICE_VERSION "\" \"User Commands\"\n"
         ".SH NAME\ntoken-service \\- issue, verify, introspect and revoke JSON Web Tokens\n"
         ".SH SYNOPSIS\n.B token-service\n.I command\n.RI [ options ]\n"
         ".SH DESCRIPTION\nA token service for OAuth 2.0 and OpenID Connect: as a daemon over HTTP, and as a command\n"
         "line over the same operations. Without any setting it makes its own signing key, keeps its records in\n"
         "SQLite and listens on the loopback address.\n.SH COMMANDS");
    print_man_commands();
    puts(".SH OPTIONS AND ENVIRONMENT\n"
         "Every command takes these settings as flags\n"
         "(\\fB\\-\\-flag\\fR \\fIvalue\\fR or \\fB\\-\\-flag=\\fIvalue\\fR)\n"
         "and as environment variables; a flag wins.\n"
         "A command's own option of the same name comes before the setting. An empty variable counts as\n"
         "absent. A bad value stops the start.");
    settings_print_man(stdout);
    puts(".SH EXIT STATUS");
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        printf(".TP\n.B %d\n%s\n", (int)exits[i].code, exits[i].means);
    puts(".SH FILES\nIn the directory of TOKEN_DATA_DIR, mode 0700:\n"
         ".TP\n.I token-service.db\nSQLite: clients, records of tokens, revocations, keys' public halves.\n"
         ".TP\n.I signing-key-KID.pem\nThe signing keys, PKCS#8, mode 0600; refused when others can read them.\n"
         ".TP\n.I serve.lock\nHeld by the server, so that there is one for a directory.\n"
         ".SH EXAMPLES\n.nf\ntoken-service clients add \\-\\-id agent \\-\\-scope \"token:issue token:verify\"\n"
         "token-service serve \\-\\-listen 127.0.0.1:9000\n"
         "echo \"$TOKEN\" | token-service token verify \\-\\-json\n.fi");
}

static int command_help(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "man") == 0)
        print_man();
    else if (strcmp(what, "markdown") == 0)
        settings_print_markdown(stdout);
    else
        print_help();
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(argc > 1 ? argc - 1 : argc, argc > 1 ? argv + 1 : argv);
    fprintf(stderr, "token-service: there is no command \"%s\" (see token-service --help)\n", name);
    return EXIT_USAGE;
}
