/* oauth/pages.c: a function a page. The button that agrees comes first, since Enter in a field presses the first. */
#include "oauth/pages.h"
#include "base/sentence.h"
#include "oauth/html.h"
#include "oauth/page.h"
#include "service/message.h"

static struct str pages_number(struct arena *arena, int64_t number)
{
    return arena_printf(arena, "%lld", (long long)number);
}

/* --- parts ------------------------------------------------------------------------------------------------------- */

static void pages_add_heading(struct page *page, const char *text)
{
    page_add(page, "<h1>");
    page_add_text(page, str_of(text));
    page_add(page, "</h1>\n");
}

static void pages_add_paragraph(struct page *page, const char *open, const char *phrase, struct str name)
{
    page_add(page, open);
    page_add_phrase(page, phrase, name);
    page_add(page, "</p>\n");
}

/* What it shows says nothing that the name doesn't say: so no text in its place. */
static void pages_add_logo(struct page *page, struct str logo_uri)
{
    if (!html_url_is_fit(logo_uri) || !str_has_prefix(logo_uri, STR("https://")))
        return;
    page->policy.image = logo_uri;
    page_add(page, "<img alt=\"\" src=\"");
    page_add_text(page, logo_uri);
    page_add(page, "\">\n");
}

static void pages_add_link(struct page *page, struct str url, const char *text)
{
    page_add(page, "<a target=\"_blank\" rel=\"noopener noreferrer\" href=\"");
    page_add_text(page, url);
    page_add(page, "\">");
    page_add_text(page, str_of(text));
    page_add(page, "</a>\n");
}

static void pages_add_links(struct page *page, const struct page_client *client)
{
    const bool has_policy = html_url_is_fit(client->policy_uri), has_terms = html_url_is_fit(client->tos_uri);
    if (!has_policy && !has_terms)
        return;
    page_add(page, "<footer>\n");
    if (has_policy)
        pages_add_link(page, client->policy_uri, page->texts->policy);
    if (has_terms)
        pages_add_link(page, client->tos_uri, page->texts->terms);
    page_add(page, "</footer>\n");
}

static void pages_begin_form(struct page *page, const struct page_form *form, struct str redirects_to)
{
    page->policy.posts_here = true;
    page->policy.posts_to = redirects_to;
    page_add(page, "<form method=\"post\" action=\"");
    page_add_text(page, form->action);
    page_add(page, "\">\n");
    page_add_hidden(page, STR("csrf"), form->csrf);
    page_add_hidden(page, STR("challenge"), form->challenge);
}

/* Leaving needs no field to be filled in. */
static void pages_end_form(struct page *page, const char *agree, const char *leave)
{
    page_add(page, "<button type=\"submit\" id=\"submit\">");
    page_add_text(page, str_of(agree));
    page_add(page, "</button>\n<button type=\"submit\" id=\"cancel\" class=\"second\" name=\"cancel\" value=\"1\" "
                   "formnovalidate>");
    page_add_text(page, str_of(leave));
    page_add(page, "</button>\n</form>\n");
}

/* --- signing in -------------------------------------------------------------------------------------------------- */

static const char *pages_login_sentence(const struct page_texts *texts, enum login_problem problem)
{
    switch (problem) {
    case LOGIN_FRESH:
        return NULL;
    case LOGIN_WRONG:
        return texts->login_wrong;
    case LOGIN_LIMITED:
        return texts->login_limited;
    case LOGIN_BUSY:
        return texts->login_busy;
    case LOGIN_STALE:
        return texts->login_stale;
    }
    return NULL;
}

static void pages_set_login_status(struct response *response, struct arena *arena, const struct login_page *login)
{
    static const struct {
        int status;
        enum err_code outcome;
    } kinds[] = { [LOGIN_FRESH] = { 200, ERR_OK },
                  [LOGIN_WRONG] = { 200, ERR_OK },
                  [LOGIN_LIMITED] = { 429, ERR_TOO_MANY_REQUESTS },
                  [LOGIN_BUSY] = { 503, ERR_UNAVAILABLE },
                  [LOGIN_STALE] = { 400, ERR_INVALID_REQUEST } };
    const int64_t wait_s = login->problem == LOGIN_LIMITED && login->wait_s > 1 ? login->wait_s : 1;
    response->status = kinds[login->problem].status;
    response->outcome = kinds[login->problem].outcome;
    if (response->status == 429 || response->status == 503)
        response_add_header(response, STR("Retry-After"), pages_number(arena, wait_s));
}

/* One field has the focus at first: the one that is to be filled in next. What is wrong belongs to both. */
static void pages_add_field(struct page *page, const char *attributes, struct str value, bool is_next, bool is_wrong,
                            bool has_problem)
{
    page_add(page, "<input class=\"field\" required maxlength=\"1024\" ");
    page_add(page, attributes);
    page_add(page, " value=\"");
    page_add_text(page, value);
    page_add(page, "\"");
    page_add(page, is_next ? " autofocus" : "");
    page_add(page, is_wrong ? " aria-invalid=\"true\"" : "");
    page_add(page, has_problem ? " aria-describedby=\"problem\"" : "");
    page_add(page, ">\n");
}

static void pages_add_label(struct page *page, const char *of, const char *text)
{
    page_add(page, "<label for=\"");
    page_add(page, of);
    page_add(page, "\">");
    page_add_text(page, str_of(text));
    page_add(page, "</label>\n");
}

static void pages_add_login_fields(struct page *page, const struct login_page *login)
{
    const bool is_wrong = login->problem == LOGIN_WRONG, has_problem = login->problem != LOGIN_FRESH;
    const bool has_name = login->username.len > 0;
    pages_add_label(page, "username", page->texts->username);
    pages_add_field(page,
                    "type=\"text\" id=\"username\" name=\"username\" autocomplete=\"username\" autocapitalize=\"none\" "
                    "spellcheck=\"false\"",
                    login->username, !has_name, is_wrong, has_problem);
    pages_add_label(page, "password", page->texts->password);
    pages_add_field(page, "type=\"password\" id=\"password\" name=\"password\" autocomplete=\"current-password\"",
                    STR(""), has_name, is_wrong, has_problem);
}

void page_login(struct response *response, struct arena *arena, const struct login_page *login)
{
    struct page page;
    const struct page_texts *texts = page_texts_for(login->form.ui_locales);
    const char *sentence = pages_login_sentence(texts, login->problem);
    page_begin(&page, response, arena, login->form.ui_locales, texts->login_title, sentence != NULL);
    pages_add_logo(&page, login->client.logo_uri);
    pages_add_heading(&page, texts->login_title);
    if (login->client.name.len > 0)
        pages_add_paragraph(&page, "<p class=\"quiet\">", texts->continue_to, login->client.name);
    if (sentence)
        pages_add_paragraph(&page, "<p class=\"problem\" id=\"problem\" role=\"alert\">", sentence,
                            pages_number(arena, login->wait_s));
    pages_begin_form(&page, &login->form, login->client.redirect_uri);
    pages_add_login_fields(&page, login);
    pages_end_form(&page, texts->login, texts->cancel);
    pages_add_links(&page, &login->client);
    pages_set_login_status(response, arena, login);
    page_end(&page);
}

/* --- consent ----------------------------------------------------------------------------------------------------- */

static void pages_add_scopes(struct page *page, struct str scope)
{
    struct str word;
    page_add(page, "<ul>\n");
    while (str_next_word(&scope, &word)) {
        const char *means = page_texts_scope(page->texts, word);
        page_add(page, means ? "<li>" : "<li><code>");
        page_add_text(page, means ? str_of(means) : word);
        page_add(page, means ? "</li>\n" : "</code></li>\n");
    }
    page_add(page, "</ul>\n");
}

void page_consent(struct response *response, struct arena *arena, const struct consent_page *consent)
{
    struct page page;
    const struct page_texts *texts = page_texts_for(consent->form.ui_locales);
    page_begin(&page, response, arena, consent->form.ui_locales, texts->consent_title, false);
    pages_add_logo(&page, consent->client.logo_uri);
    pages_add_heading(&page, texts->consent_title);
    if (consent->username.len > 0)
        pages_add_paragraph(&page, "<p class=\"quiet\">", texts->signed_in_as, consent->username);
    pages_add_paragraph(&page, "<p>", texts->consent_wants, consent->client.name);
    pages_add_scopes(&page, consent->scope);
    pages_begin_form(&page, &consent->form, consent->client.redirect_uri);
    if (consent->may_remember) {
        page_add(&page, "<label class=\"check\" for=\"remember\">"
                        "<input type=\"checkbox\" id=\"remember\" name=\"remember\" value=\"1\">");
        page_add_text(&page, str_of(texts->remember));
        page_add(&page, "</label>\n");
    }
    pages_end_form(&page, texts->allow, texts->deny);
    pages_add_links(&page, &consent->client);
    page_end(&page);
}

/* --- signing out ------------------------------------------------------------------------------------------------- */

void page_logout(struct response *response, struct arena *arena, const struct logout_page *logout)
{
    struct page page;
    const struct page_texts *texts = page_texts_for(logout->form.ui_locales);
    page_begin(&page, response, arena, logout->form.ui_locales, texts->logout_title, false);
    pages_add_heading(&page, texts->logout_title);
    if (logout->username.len > 0)
        pages_add_paragraph(&page, "<p>", texts->signed_in_as, logout->username);
    pages_add_paragraph(&page, "<p>", texts->logout_about, STR(""));
    pages_begin_form(&page, &logout->form, logout->to);
    if (logout->to.len > 0) {
        page_add_hidden(&page, STR("client_id"), logout->client_id);
        page_add_hidden(&page, STR("post_logout_redirect_uri"), logout->to);
        page_add_hidden(&page, STR("state"), logout->state);
    }
    pages_end_form(&page, texts->logout, texts->stay);
    page_end(&page);
}

void page_signed_out(struct response *response, struct arena *arena, struct str ui_locales)
{
    struct page page;
    const struct page_texts *texts = page_texts_for(ui_locales);
    page_begin(&page, response, arena, ui_locales, texts->signed_out_title, false);
    pages_add_heading(&page, texts->signed_out_title);
    pages_add_paragraph(&page, "<p>", texts->signed_out_about, STR(""));
    page_end(&page);
}

/* --- what went wrong --------------------------------------------------------------------------------------------- */

void page_error(struct response *response, struct arena *arena, struct str ui_locales, struct err err)
{
    struct page page;
    const struct page_texts *texts = page_texts_for(ui_locales);
    const int status = err_status(err.code);
    page_begin(&page, response, arena, ui_locales, texts->error_title, true);
    pages_add_heading(&page, texts->error_title);
    if (status != 429)
        pages_add_paragraph(&page, "<p>", texts->error_about, STR(""));
    page_add(&page, "<p class=\"problem\" role=\"alert\">");
    page_add_text(&page, str_of(sentence_for_callers(err.why)));
    page_add(&page, " (<code>");
    page_add_text(&page, str_of(err_name(err.code)));
    page_add(&page, "</code>)</p>\n");
    pages_add_paragraph(&page, "<p class=\"quiet\">", texts->error_advice, STR(""));
    response->status = status == 401 || status == 403 ? 400 : status;
    response->outcome = err.code;
    if (response->status == 429 || response->status == 503)
        response_add_header(response, STR("Retry-After"),
                            pages_number(arena, response->retry_after_s > 0 ? response->retry_after_s : 1));
    page_end(&page);
}

/* --- form_post --------------------------------------------------------------------------------------------------- */

/* No control of this form has a name or id "submit", which would hide the method that the script calls. */
void page_post(struct response *response, struct arena *arena, struct str ui_locales, const struct post_page *post)
{
    struct page page;
    const struct page_texts *texts = page_texts_for(ui_locales);
    page_begin(&page, response, arena, ui_locales, texts->posting_title, false);
    pages_add_heading(&page, texts->posting_title);
    pages_add_paragraph(&page, "<p>", texts->posting_about, post->client.name);
    page.policy.posts_to = post->client.redirect_uri;
    page_add(&page, "<form method=\"post\" action=\"");
    page_add_text(&page, post->client.redirect_uri);
    page_add(&page, "\">\n");
    for (size_t i = 0; i < post->count; i++)
        page_add_hidden(&page, post->parameters[i].name, post->parameters[i].value);
    page_add(&page, "<button type=\"submit\" id=\"continue\">");
    page_add_text(&page, str_of(texts->posting));
    page_add(&page, "</button>\n</form>\n");
    page_add_script(&page, "document.forms[0].submit()");
    page_end(&page);
}
