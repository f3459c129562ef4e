/* fuzz/target.c: targets of requests, read by wire/target.c and by a second opinion that has nothing in common with it:
 * the regular expression of RFC 3986 appendix B, which divides a reference into its parts, and the grammar of RFC 9112
 * section 3.2 with that of RFC 3986 appendix A, as regular expressions too. Both must take the same targets, and find
 * the same path and query in them.
 *
 * An input is a method's first letter (O: OPTIONS, C: CONNECT, else GET) and a target. */
#include "fuzz.h"
#include "wire/target.h"
#include <regex.h>

#define PCHAR "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f][0-9A-Fa-f])"
#define NAME "([A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f][0-9A-Fa-f])"
#define ORIGIN_FORM "^(/" PCHAR "*)+"
#define QUERY "([?][!\"$-~]*)?$" /* any visible character but '#': target.h says why */

static regex_t parts, origin_form, absolute_form, literal;
enum { TARGET_MAX = 512 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    PROMISE(!regcomp(&parts, "^(([^:/?#]+):)?(//([^/?#]*))?([^?#]*)([?]([^#]*))?(#(.*))?", REG_EXTENDED));
    PROMISE(!regcomp(&origin_form, ORIGIN_FORM QUERY, REG_EXTENDED));
    PROMISE(!regcomp(&absolute_form, "^[Hh][Tt][Tt][Pp][Ss]?://" NAME "+(:[0-9]*)?(/" PCHAR "*)*" QUERY, REG_EXTENDED));
    PROMISE(!regcomp(&literal, "^[Hh][Tt][Tt][Pp][Ss]?://[[][0-9A-Fa-f:.]+[]](:[0-9]*)?(/" PCHAR "*)*" QUERY,
                     REG_EXTENDED));
    return 0;
}

static bool is_a(const regex_t *form, const char *text)
{
    return regexec(form, text, 0, NULL, 0) == 0;
}

static struct str part(const char *text, const regmatch_t *match)
{
    return match->rm_so < 0 ? (struct str){ 0, 0 }
                            : (struct str){ text + match->rm_so, (size_t)(match->rm_eo - match->rm_so) };
}

/* `uri`: the target itself, or, of the origin-form, with what RFC 9112 section 3.3 puts before it. */
static void check_parts(const char *uri, const struct target *target)
{
    regmatch_t match[10];
    PROMISE(regexec(&parts, uri, 10, match, 0) == 0);
    const struct str path = part(uri, &match[5]), query = part(uri, &match[7]);
    PROMISE(str_eq(target->path, path.len > 0 ? path : STR("/")));
    PROMISE((match[6].rm_so < 0) == (target->query.at == NULL) && str_eq(target->query, query));
    PROMISE(match[8].rm_so < 0);
    if (target->authority.at)
        PROMISE(str_eq(target->authority, part(uri, &match[4])));
}

static void check(struct str method, const char *text, struct str input)
{
    char uri[TARGET_MAX + 16];
    struct target target;
    const bool is_plain = strlen(text) == input.len, taken = target_read(method, input, &target);
    const bool is_connect = str_eq(method, STR("CONNECT")), is_star = str_eq(input, STR("*"));
    PROMISE(is_plain || !taken); /* a NUL within */
    if (!is_plain)
        return;
    const bool is_origin = is_a(&origin_form, text), is_absolute = is_a(&absolute_form, text);
    if (is_star)
        PROMISE(taken == str_eq(method, STR("OPTIONS")));
    else if (!is_a(&literal, text)) /* whether an address in brackets is one, no short expression tells */
        PROMISE(taken == (!is_connect && (is_origin || is_absolute)));
    if (!taken || is_star)
        return;
    snprintf(uri, sizeof uri, "%s%s", is_origin ? "http://h" : "", text);
    PROMISE((target.authority.at == NULL) == is_origin);
    check_parts(uri, &target);
    PROMISE(target.path.len > 0 && target.path.at[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TARGET_MAX + 1];
    if (size < 1 || size > TARGET_MAX)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    check(data[0] == 'O'   ? STR("OPTIONS")
          : data[0] == 'C' ? STR("CONNECT")
                           : STR("GET"),
          text, input_of(data + 1, size - 1));
    return 0;
}
