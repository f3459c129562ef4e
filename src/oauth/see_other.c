/* oauth/see_other.c: the one redirect. */
#include "oauth/see_other.h"
#include "service/message.h"

void see_other(struct response *response, struct str url)
{
    response_empty(response, 303);
    response_add_header(response, STR("Location"), url);
    response_add_header(response, STR("Referrer-Policy"), STR("no-referrer"));
}
