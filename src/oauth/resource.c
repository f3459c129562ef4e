/* oauth/resource.c: lists of resources. */
#include "oauth/resource.h"
#include "wire/uri.h"

static bool resource_is_in(const struct str *list, size_t count, struct str resource)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(list[i], resource))
            return true;
    return false;
}

static bool resource_is_good(struct str text)
{
    struct uri uri;
    return text.len <= RESOURCE_LEN_MAX && uri_split(text, &uri) && uri.authority.len + uri.path.len > 0;
}

struct err resources_add(struct resources *resources, struct str named)
{
    if (!resource_is_good(named))
        return failed(ERR_INVALID_TARGET,
                      "a resource must be an absolute URI without a fragment, of at most 255 bytes");
    if (resource_is_in(resources->of, resources->count, named))
        return OK;
    if (resources->count == RESOURCES_MAX)
        return failed(ERR_INVALID_TARGET, "there are more than 8 resources");
    resources->of[resources->count++] = named;
    return OK;
}

struct err resources_allow(const struct resources *asked, const struct str *registered, size_t count, struct str usual)
{
    for (size_t i = 0; i < asked->count; i++)
        if (!resource_is_in(registered, count, asked->of[i]) && !str_has_item(usual, asked->of[i]))
            return failed(ERR_INVALID_TARGET, "this client may not ask for one of the resources");
    return OK;
}

struct err resources_narrow(const struct resources *asked, const struct resources *granted, struct resources *out)
{
    for (size_t i = 0; i < asked->count; i++)
        if (!resource_is_in(granted->of, granted->count, asked->of[i]))
            return failed(ERR_INVALID_TARGET, "one of the resources was not granted");
    *out = asked->count > 0 ? *asked : *granted;
    return OK;
}
