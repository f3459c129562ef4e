/* base/settings_print.c: the table of settings for people: --help, the man page, the documentation, --check-config, and
 * variables that look like settings but are not. */
#include "base/secret_reference.h"
#include "base/settings_rows.h"
#include <unistd.h>

static const char *const section_names[] = { "Server", "Issuing", "Users",          "Checking",
                                             "Keys",   "Callers", "Limits",         "Log and metrics",
                                             "AWS",    "Redis",   "Shared database" };

/* What stands below the name of the section on AWS, a line each, as wide as --help is. */
static const char *const aws_notes[] = {
    "AWS credentials are not settings. They are looked up where AWS's own tools look, in this order:",
    "the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,",
    "AWS_CREDENTIAL_EXPIRATION;",
    "a web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME;",
    "AWS_ENDPOINT_URL_STS);",
    "keys or a web identity of the profile AWS_PROFILE in AWS_SHARED_CREDENTIALS_FILE or AWS_CONFIG_FILE;",
    "a container's address (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI, with AWS_CONTAINER_AUTHORIZATION_TOKEN or",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE);",
    "an EC2 instance's metadata (IMDSv2; AWS_EC2_METADATA_DISABLED, AWS_EC2_METADATA_SERVICE_ENDPOINT).",
    "A setting that is a secret (it has no flag) may be a reference instead of the value, which is then",
    "read at each start: the ARN of a secret of AWS Secrets Manager, with :member:: after it for one",
    "member of a JSON object, or of a parameter of AWS Systems Manager.",
};

/* The i-th of them where the row at `row` opens that section, else NULL. */
static const char *settings_print_note_of(size_t row, size_t i)
{
    bool has_notes = settings_rows[row].section == SECTION_AWS && i < sizeof aws_notes / sizeof *aws_notes;
    return has_notes ? aws_notes[i] : NULL;
}

/* --- variables that are not read --------------------------------------------------------------------------------- */

static size_t settings_print_smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein's distance: insertions, deletions and replacements. */
static size_t settings_print_distance(struct str a, struct str b)
{
    size_t row[64];
    if (a.len >= 64 || b.len >= 64)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t above_left = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            row[j] = settings_print_smallest(above + 1, row[j - 1] + 1, above_left + (a.at[i - 1] != b.at[j - 1]));
            above_left = above;
        }
    }
    return row[b.len];
}

static void settings_print_tell_if_unknown(struct str name, void (*tell)(struct str, const char *))
{
    const char *nearest = "";
    size_t least = 3; /* two slips are a typo, more are another word */
    for (size_t i = 0; i < settings_rows_count; i++) {
        size_t apart = settings_print_distance(name, str_of(settings_rows[i].name));
        if (apart == 0)
            return;
        if (apart < least) {
            least = apart;
            nearest = settings_rows[i].name;
        }
    }
    tell((struct str){ name.at, name.len < 64 ? name.len : 64 }, nearest);
}

void settings_tell_unknown(void (*tell)(struct str name, const char *meant))
{
    for (char **at = environ; at && *at; at++) {
        struct str rest = str_of(*at), name;
        if (str_cut(&rest, '=', &name) && rest.len > 0 && str_has_prefix(name, STR("TOKEN_")))
            settings_print_tell_if_unknown(name, tell);
    }
}

/* --- printing ---------------------------------------------------------------------------------------------------- */

/* Words of `text`, in lines of at most `width` columns that begin at column `indent`, where the cursor stands. */
static void settings_print_print_wrapped(FILE *out, const char *text, size_t indent, size_t width)
{
    struct str rest = str_of(text), word;
    size_t column = indent;
    for (bool first = true; str_next_word(&rest, &word); first = false) {
        if (!first && column + 1 + word.len > width) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', out);
            column++;
        }
        fwrite(word.at, 1, word.len, out);
        column += word.len;
    }
    fputc('\n', out);
}

static bool settings_print_opens_section(size_t i)
{
    return i == 0 || settings_rows[i].section != settings_rows[i - 1].section;
}

void settings_print_help(FILE *out)
{
    enum { INDENT = 38, WIDTH = 100 };
    char flag[SETTINGS_FLAG_ROOM], allowed[128], about[384];
    fputs("settings of every command (each is an environment variable too: --data-dir is TOKEN_DATA_DIR,\n"
          "--aws-region is AWS_REGION; a secret has no flag):\n",
          out);
    for (size_t i = 0; i < settings_rows_count; i++) {
        if (settings_print_opens_section(i))
            fprintf(out, "\n%s:\n", section_names[settings_rows[i].section]);
        for (size_t j = 0; settings_print_opens_section(i) && settings_print_note_of(i, j); j++)
            fprintf(out, "%s\n", settings_print_note_of(i, j));
        const bool has_flag = settings_flag(&settings_rows[i], flag)[0];
        fprintf(out, "  %-*s", INDENT - 2, has_flag ? flag : settings_rows[i].name);
        snprintf(about, sizeof about, "%s [%s; default %s]", settings_rows[i].help,
                 settings_allowed(&settings_rows[i], allowed),
                 settings_rows[i].preset[0] ? settings_rows[i].preset : "none");
        settings_print_print_wrapped(out, about, INDENT, WIDTH);
    }
}

void roff_print(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

void settings_print_man(FILE *out)
{
    char flag[SETTINGS_FLAG_ROOM], allowed[128];
    for (size_t i = 0; i < settings_rows_count; i++) {
        if (settings_print_opens_section(i))
            fprintf(out, ".SS %s\n", section_names[settings_rows[i].section]);
        for (size_t j = 0; settings_print_opens_section(i) && settings_print_note_of(i, j); j++) {
            roff_print(out, settings_print_note_of(i, j));
            fputc('\n', out);
        }
        const bool has_flag = settings_flag(&settings_rows[i], flag)[0];
        fputs(has_flag ? ".TP\n.BI " : ".TP\n.B ", out);
        roff_print(out, flag);
        fputs(has_flag ? " \" value\" \", \" " : "", out);
        fprintf(out, "%s\n", settings_rows[i].name);
        roff_print(out, settings_rows[i].help);
        fputs("\n.br\nAllowed: ", out);
        roff_print(out, settings_allowed(&settings_rows[i], allowed));
        fputs(". Default: ", out);
        roff_print(out, settings_rows[i].preset[0] ? settings_rows[i].preset : "none");
        fputs(".\n", out);
    }
}

/* A pipe would end the table's cell. */
static void settings_print_print_cell(FILE *out, const char *text)
{
    for (; *text; text++)
        fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
}

static void settings_print_print_markdown_head(FILE *out, size_t row)
{
    fprintf(out, "%s## %s\n\n", row > 0 ? "\n" : "", section_names[settings_rows[row].section]);
    for (size_t i = 0; settings_print_note_of(row, i); i++)
        fprintf(out, "%s\n%s", settings_print_note_of(row, i), settings_print_note_of(row, i + 1) ? "" : "\n");
    fputs("| variable | flag | default | allowed | meaning |\n|---|---|---|---|---|\n", out);
}

void settings_print_markdown(FILE *out)
{
    char flag[SETTINGS_FLAG_ROOM] = "", allowed[128] = "";
    for (size_t i = 0; i < settings_rows_count; i++) {
        const char *tick = settings_rows[i].preset[0] ? "`" : "";
        if (settings_print_opens_section(i))
            settings_print_print_markdown_head(out, i);
        const char *mark = settings_flag(&settings_rows[i], flag)[0] ? "`" : "";
        fprintf(out, "| `%s` | %s%s%s | %s%s%s | ", settings_rows[i].name, mark, flag, mark, tick,
                settings_rows[i].preset, tick);
        settings_print_print_cell(out, settings_allowed(&settings_rows[i], allowed));
        fputs(" | ", out);
        settings_print_print_cell(out, settings_rows[i].help);
        fputs(" |\n", out);
    }
}

static const char *const origin_names[] = {
    [ORIGIN_DEFAULT] = "default", [ORIGIN_ENVIRONMENT] = "environment", [ORIGIN_FLAG] = "flag"
};

void settings_print_values(const struct settings *settings, FILE *out)
{
    for (size_t i = 0; i < settings_rows_count; i++) {
        const char *member = (const char *)settings + settings_rows[i].offset, *text = "";
        int64_t number = 0;
        fprintf(out, "%s=", settings_rows[i].name);
        if (settings_is_text(&settings_rows[i])) {
            memcpy(&text, member, sizeof text);
            if (settings_rows[i].kind != KIND_SECRET || !text[0])
                fputs(text, out);
            else if (settings_have_references(settings) && secret_reference_is(str_of(text)))
                fprintf(out, "(read at %s)", text);
            else
                fputs("(set, not shown)", out);
        } else {
            memcpy(&number, member, sizeof number);
            if (settings_rows[i].kind == KIND_WORD)
                fputs(settings_rows[i].words[number - settings_rows[i].min], out);
            else
                fprintf(out, "%lld", (long long)number);
        }
        fprintf(out, "  # %s\n", origin_names[settings->origins[i]]);
    }
}
