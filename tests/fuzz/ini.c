/* fuzz/ini.c: a value that is found lies within the text, on one line and without blanks around it, in a section that
 * is there. */
#include "fuzz.h"
#include "aws/ini.h"

static void look_for(struct str text, struct str kind, struct str section, struct str name)
{
    struct str value = { 0, 0 };
    if (!ini_find(text, kind, section, name, &value))
        return;
    PROMISE(ini_has_section(text, kind, section));
    PROMISE(value.len == 0 || (value.at >= text.at && value.at + value.len <= text.at + text.len));
    PROMISE(!str_has(value, '\n') && str_eq(str_trim(value), value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = input_of(data, size);
    look_for(text, STR(""), STR("default"), STR("aws_access_key_id"));
    look_for(text, STR("profile"), STR("one"), STR("role_arn"));
    look_for(text, STR(""), STR(""), STR(""));
    look_for(text, STR("profile"), STR(""), STR("a"));
    return 0;
}
