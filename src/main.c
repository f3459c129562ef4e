/* main.c: the subcommands, as a table. */
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

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;
} commands[] = {
    { "serve", command_serve, "serve [--check-config]          listen and answer until SIGTERM" },
    { "token", command_token, "token issue|verify|inspect|revoke   tokens; they are read from standard input" },
    { "clients", command_clients, "clients add|list|disable|enable     who may call" },
    { "keys", command_keys, "keys list                       the signing keys and their states" },
    { "doctor", command_doctor, "doctor                          try every part that serving needs" },
    { "version", command_version, "version                         print the version" },
    { "help", command_help, "help [man|markdown]             this text, as a man page, as Markdown" },
};

static int command_help(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "man") == 0) {
        settings_print_man(stdout);
        return EXIT_OK;
    }
    if (argc > 1 && strcmp(argv[1], "markdown") == 0) {
        settings_print_markdown(stdout);
        return EXIT_OK;
    }
    puts("token-service: issues, verifies, introspects and revokes JSON Web Tokens\n\nusage: token-service COMMAND "
         "[OPTIONS]\n\ncommands:");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        printf("  %s\n", commands[i].usage);
    puts("\noptions of commands:\n"
         "  clients add --id ID --scope \"A B\" [--name NAME] [--public] [--access-ttl S] [--refresh-ttl S]\n"
         "              [--id-ttl S] [--json]       prints client_id and client_secret, once\n"
         "  clients list [--json] | disable ID | enable ID\n"
         "  token issue --client ID [--subject SUB] [--scope \"A B\"] [--type access|refresh|id] [--audience AUD]\n"
         "              [--expires-in S] [--claims JSON] [--nonce N] [--json]\n"
         "  token verify [--key JWK_FILE | --type KIND --audience AUD --subject SUB --nonce N --require-issuer ISS]\n"
         "  token inspect | token revoke [--reason TEXT] [--json]\n"
         "  keys list [--json] | doctor [--json]\n"
         "\nexit status: 0 done; 1 denied, not valid or not found; 2 a wrong argument or setting; 3 a part failed\n");
    settings_print_help(stdout);
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(argc > 1 ? argc - 1 : argc, argc > 1 ? argv + 1 : argv);
    fprintf(stderr, "token-service: there is no command \"%s\" (see token-service --help)\n", name);
    return EXIT_USAGE;
}
