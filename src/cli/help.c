/* cli/help.c: --help and the man page, printed from the tables of commands, exit codes and settings. */
#include "cli/cli.h"
#include "version.h"
#include <stdio.h>

static const struct {
    enum exit_code code;
    const char *means;
} exits[] = {
    { EXIT_OK, "Done." },
    { EXIT_NO, "Denied, not valid or not found." },
    { EXIT_USAGE, "A wrong argument or setting." },
    { EXIT_FAILED, "A part failed: the store, a file or the system." },
};

static void help_print_command(const struct command *command)
{
    for (size_t form = 0; form < COMMAND_FORMS_MAX && command->forms[form]; form++) {
        printf("  %s%s", command->name, command->forms[form][0] ? " " : "");
        for (const char *at = command->forms[form]; *at; at++) {
            putchar(*at);
            if (*at == '\n')
                fputs("              ", stdout);
        }
        putchar('\n');
    }
    printf("        %s\n", command->about);
}

static void help_print_exits(void)
{
    puts("\nexit status:");
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        printf("  %d  %s\n", (int)exits[i].code, exits[i].means);
    putchar('\n');
}

void print_help(const struct command *commands, size_t count)
{
    puts("token-service: issues, verifies, introspects and revokes JSON Web Tokens\n\nusage: token-service COMMAND "
         "[OPTIONS]\n\ncommands:");
    for (size_t i = 0; i < count; i++)
        help_print_command(&commands[i]);
    help_print_exits();
    settings_print_help(stdout);
}

void print_help_of(const struct command *command)
{
    puts("usage: token-service COMMAND [OPTIONS]\n");
    help_print_command(command);
    help_print_exits();
    puts("Every setting is an option too, such as --data-dir: token-service help lists them.");
}

/* A form is one tag, in however many lines it stands in --help: a backslash before a line's end joins it to the next.
 */
static void help_print_man_form(const char *form)
{
    struct str rest = str_of(form), line;
    char text[256];
    for (bool first = true; str_next_item(&rest, '\n', &line); first = false) {
        snprintf(text, sizeof text, "%.*s", (int)line.len, line.at);
        if (!first)
            fputs(" \\\n", stdout);
        roff_print(stdout, text);
    }
}

static void help_print_man_commands(const struct command *commands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t form = 0; form < COMMAND_FORMS_MAX && commands[i].forms[form]; form++) {
            printf("%s\n\\fB%s\\fR%s", form == 0 ? ".TP" : ".TQ", commands[i].name,
                   commands[i].forms[form][0] ? " " : "");
            help_print_man_form(commands[i].forms[form]);
            putchar('\n');
        }
        roff_print(stdout, commands[i].about);
        putchar('\n');
    }
}

void print_man(const struct command *commands, size_t count)
{
    puts(".TH TOKEN-SERVICE 1 2026-11-24 \"token-service " TOKEN_SERVICE_VERSION "\" \"User Commands\"\n"
         ".SH NAME\ntoken-service \\- issue, verify, introspect and revoke JSON Web Tokens\n"
         ".SH SYNOPSIS\n.B token-service\n.I command\n.RI [ options ]\n"
         ".SH DESCRIPTION\nA token service for OAuth 2.0 and OpenID Connect: as a daemon over HTTP, and as a command\n"
         "line over the same operations. Without any setting it makes its own signing key, keeps its records in\n"
         "SQLite and listens on the loopback address.\n.SH COMMANDS");
    help_print_man_commands(commands, count);
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
         ".TP\n.I users.json\nUsers of the built-in login, with hashes of their passwords, mode 0600; or "
         "TOKEN_USERS_FILE.\n"
         ".TP\n.I serve.lock\nHeld by the server, so that there is one for a directory.\n"
         ".SH EXAMPLES\n.nf\ntoken-service clients add \\-\\-id agent \\-\\-scope \"token:issue token:verify\"\n"
         "token-service serve \\-\\-listen 127.0.0.1:9000\n"
         "echo \"$TOKEN\" | token-service token verify \\-\\-json\n.fi");
}
