/* base/merge_patch.c: JSON Merge Patch. */
#include "base/merge_patch.h"

static void merge_patch_write_name(struct buf *out, struct str name)
{
    if (out->len > 0 && out->at[out->len - 1] != '{')
        buf_add_char(out, ',');
    json_write_str(out, name);
    buf_add_char(out, ':');
}

/* NOLINTNEXTLINE(misc-no-recursion): no deeper than what json_parse() takes */
static void merge_patch_write_member(struct buf *out, struct str name, const struct json *old, const struct json *patch)
{
    merge_patch_write_name(out, name);
    if (patch)
        merge_patch_write(out, old, patch);
    else
        json_write(out, old);
}

/* NOLINTNEXTLINE(misc-no-recursion): the same */
void merge_patch_write(struct buf *out, const struct json *target, const struct json *patch)
{
    if (patch->kind != JSON_OBJECT) {
        json_write(out, patch);
        return;
    }
    if (target && target->kind != JSON_OBJECT)
        target = NULL;
    buf_add_char(out, '{');
    for (const struct json *old = target ? target->child : NULL; old; old = old->next) {
        const struct json *member = json_member(patch, old->name);
        if (!member || member->kind != JSON_NULL)
            merge_patch_write_member(out, old->name, old, member);
    }
    for (const struct json *member = patch->child; member; member = member->next)
        if (member->kind != JSON_NULL && !json_member(target, member->name))
            merge_patch_write_member(out, member->name, NULL, member);
    buf_add_char(out, '}');
}
