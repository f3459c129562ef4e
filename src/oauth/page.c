/* oauth/page.c: the frame of a page. The style sheet is as wide as a phone (320 px) without scrolling, follows the
 * system's choice of light or dark, and keeps contrasts of at least 4.5:1 for text and 3:1 for borders (WCAG 2.2, AA),
 * which tests/integration/test_pages.py reckons. */
#include "oauth/page.h"
#include "base/random.h"
#include "jose/b64.h"
#include "oauth/html.h"
#include "service/message.h"

enum { NONCE_BYTES = 18, NONCE_LEN = 24 };

static const char style[] =
    ":root{color-scheme:light dark;--back:#f3f3f6;--card:#ffffff;--text:#1b1b20;--quiet:#5a5a66;--line:#767682;"
    "--accent:#1f4fd8;--on-accent:#ffffff;--bad:#a8071a;--bad-back:#fff1f0}\n"
    "@media(prefers-color-scheme:dark){:root{--back:#101114;--card:#1b1c21;--text:#f1f1f4;--quiet:#b3b3bd;"
    "--line:#8c8c98;--accent:#8ab0ff;--on-accent:#0b1530;--bad:#ffb3ab;--bad-back:#3a1013}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif;"
    "overflow-wrap:anywhere}\n"
    "main{max-width:26rem;margin:8vh auto;padding:1.75rem;background:var(--card);border-radius:.75rem}\n"
    "@media(max-width:28rem){main{margin:0;padding:1.25rem;border-radius:0}}\n"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 .5rem}\n"
    "p{margin:.5rem 0}\n"
    "img{display:block;height:4rem;max-width:100%;margin:0 0 1rem}\n"
    "label{display:block;font-weight:600;margin:1rem 0 .25rem}\n"
    "label.check{display:flex;gap:.6rem;align-items:flex-start;font-weight:400}\n"
    "label.check input{width:1.25rem;height:1.25rem;margin:.15rem 0 0;flex:none;accent-color:var(--accent)}\n"
    "input.field{width:100%;min-height:2.75rem;padding:.5rem .75rem;font:inherit;color:inherit;background:var(--card);"
    "border:1px solid var(--line);border-radius:.4rem}\n"
    "input[aria-invalid=true]{border:2px solid var(--bad)}\n"
    "button{display:block;width:100%;min-height:2.75rem;margin:1rem 0 0;padding:.5rem .75rem;font:inherit;"
    "font-weight:600;cursor:pointer;color:var(--on-accent);background:var(--accent);border:1px solid var(--accent);"
    "border-radius:.4rem}\n"
    "button.second{color:var(--accent);background:var(--card)}\n"
    ":focus-visible{outline:3px solid var(--accent);outline-offset:2px}\n"
    "a{color:var(--accent)}\n"
    "ul{margin:.5rem 0;padding-left:1.25rem}\n"
    ".quiet{color:var(--quiet)}\n"
    ".problem{margin:1rem 0 0;padding:.6rem .75rem;color:var(--bad);background:var(--bad-back);"
    "border-left:4px solid var(--bad)}\n"
    "footer{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin-top:1.5rem}\n";

void page_add(struct page *page, const char *markup)
{
    buf_add(page->out, str_of(markup));
}

void page_add_text(struct page *page, struct str text)
{
    html_add(page->out, text);
}

void page_add_phrase(struct page *page, const char *phrase, struct str name)
{
    const char *gap = strstr(phrase, "{}");
    if (!gap) {
        page_add_text(page, str_of(phrase));
        return;
    }
    page_add_text(page, (struct str){ phrase, (size_t)(gap - phrase) });
    page_add(page, "<bdi>");
    page_add_text(page, name);
    page_add(page, "</bdi>");
    page_add_text(page, str_of(gap + 2));
}

void page_add_hidden(struct page *page, struct str name, struct str value)
{
    page_add(page, "<input type=\"hidden\" name=\"");
    page_add_text(page, name);
    page_add(page, "\" value=\"");
    page_add_text(page, value);
    page_add(page, "\">\n");
}

void page_add_script(struct page *page, const char *script)
{
    page->policy.has_script = true;
    page_add(page, "<script nonce=\"");
    page_add_text(page, page->policy.nonce);
    page_add(page, "\">");
    page_add(page, script);
    page_add(page, "</script>\n");
}

/* A fresh one for each page (CSP Level 3 section 7.1: 128 bits at least). */
static struct str page_nonce(struct arena *arena)
{
    char bytes[NONCE_BYTES], *text = arena_alloc(arena, NONCE_LEN);
    random_bytes(bytes, sizeof bytes);
    b64url_encode((struct str){ bytes, sizeof bytes }, text);
    return (struct str){ text, NONCE_LEN };
}

void page_begin(struct page *page, struct response *response, struct arena *arena, struct str ui_locales,
                const char *title, bool is_error)
{
    *page = (struct page){ .response = response,
                           .arena = arena,
                           .out = &response->body,
                           .texts = page_texts_for(ui_locales),
                           .policy = { .nonce = page_nonce(arena) } };
    response->body.len = 0;
    page_add(page, "<!DOCTYPE html>\n<html lang=\"");
    page_add_text(page, str_of(page->texts->lang));
    page_add(page, "\">\n<head>\n<meta charset=\"utf-8\">\n"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                   "<meta name=\"robots\" content=\"noindex\">\n<title>");
    page_add_text(page, str_of(is_error ? page->texts->error_prefix : ""));
    page_add_text(page, str_of(title));
    page_add(page, "</title>\n<style nonce=\"");
    page_add_text(page, page->policy.nonce);
    page_add(page, "\">\n");
    page_add(page, style);
    page_add(page, "</style>\n</head>\n<body>\n<main>\n");
}

/* A response for people: Referrer-Policy, since the challenge in our address is nobody's business; X-Frame-Options, for
 * browsers that don't know frame-ancestors. */
void page_end(struct page *page)
{
    struct response *response = page->response;
    page_add(page, "</main>\n</body>\n</html>\n");
    response->content_type = STR("text/html; charset=utf-8");
    response->cache_control = STR("no-store");
    response_add_header(response, STR("Content-Security-Policy"), content_policy_write(page->arena, &page->policy));
    response_add_header(response, STR("X-Frame-Options"), STR("DENY"));
    response_add_header(response, STR("Referrer-Policy"), STR("no-referrer"));
    response_add_header(response, STR("X-Content-Type-Options"), STR("nosniff"));
    response->is_unfit = response->is_unfit || page->out->overflowed;
}
