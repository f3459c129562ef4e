/* oauth/page_texts.c */
#include "oauth/page_texts.h"

static const struct page_texts english = {
    .lang = "en",
    .continue_to = "to continue to {}",
    .error_prefix = "Error: ",
    .policy = "Privacy policy",
    .terms = "Terms of service",
    .login_title = "Sign in",
    .username = "Username",
    .password = "Password",
    .login = "Sign in",
    .cancel = "Cancel",
    .login_wrong = "The username or the password is wrong.",
    .login_limited = "There were too many failed attempts. Please wait {} seconds, then try again.",
    .login_busy = "Signing in is not possible at this moment. Please try again soon.",
    .login_stale = "This page was open for too long, or your browser does not keep cookies. Please try again.",
    .consent_title = "Allow access?",
    .consent_wants = "{} would like to:",
    .signed_in_as = "You are signed in as {}.",
    .remember = "Do not ask me again for this",
    .allow = "Allow",
    .deny = "Do not allow",
    .scopes = { { STR_INIT("openid"), "know who you are, each time you sign in" },
                { STR_INIT("profile"), "see your name and your profile" },
                { STR_INIT("email"), "see your e-mail address" },
                { STR_INIT("phone"), "see your phone number" },
                { STR_INIT("address"), "see your postal address" },
                { STR_INIT("offline_access"), "keep this access while you are away" } },
    .error_title = "This did not work",
    .error_about = "The application that sent you here asked for something that is not possible:",
    .error_advice = "Go back to the application and try again. If that does not help, tell those who run it what is "
                    "written here.",
    .logout_title = "Sign out?",
    .logout_about = "You will have to sign in again the next time.",
    .logout = "Sign out",
    .stay = "Stay signed in",
    .signed_out_title = "You are signed out",
    .signed_out_about = "You can close this page now.",
    .posting_title = "One moment",
    .posting_about = "You are being taken back to {}. If nothing happens, use the button.",
    .posting = "Continue",
};

const struct page_texts *page_texts_for(struct str ui_locales)
{
    (void)ui_locales; /* a second language is chosen here */
    return &english;
}

const char *page_texts_scope(const struct page_texts *texts, struct str scope)
{
    for (size_t i = 0; i < PAGE_SCOPES; i++)
        if (str_eq(texts->scopes[i].scope, scope))
            return texts->scopes[i].means;
    return NULL;
}
