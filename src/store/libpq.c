/* store/libpq.c: loads libpq. */
#include "store/libpq.h"
#include "base/library.h"
#include "observe/log.h"
#include <pthread.h>

static struct libpq_calls calls;
static bool is_loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool libpq_find_all(void *library)
{
    const struct library_function wanted[] = {
        { "PQconnectdbParams", &calls.connectdbParams },
        { "PQconninfoParse", &calls.conninfoParse },
        { "PQconninfoFree", &calls.conninfoFree },
        { "PQfinish", &calls.finish },
        { "PQstatus", &calls.status },
        { "PQtransactionStatus", &calls.transactionStatus },
        { "PQerrorMessage", &calls.errorMessage },
        { "PQpass", &calls.pass },
        { "PQhost", &calls.host },
        { "PQport", &calls.port },
        { "PQhostaddr", &calls.hostaddr },
        { "PQsslInUse", &calls.sslInUse },
        { "PQsocket", &calls.socket },
        { "PQsetnonblocking", &calls.setnonblocking },
        { "PQsetNoticeReceiver", &calls.setNoticeReceiver },
        { "PQsendQueryParams", &calls.sendQueryParams },
        { "PQflush", &calls.flush },
        { "PQconsumeInput", &calls.consumeInput },
        { "PQisBusy", &calls.isBusy },
        { "PQgetResult", &calls.getResult },
        { "PQexec", &calls.exec },
        { "PQresultStatus", &calls.resultStatus },
        { "PQresultErrorField", &calls.resultErrorField },
        { "PQntuples", &calls.ntuples },
        { "PQgetvalue", &calls.getvalue },
        { "PQgetlength", &calls.getlength },
        { "PQclear", &calls.clear },
    };
    return library_find(library, wanted, sizeof wanted / sizeof *wanted);
}

DLOPEN_NOTE(note, "libpq.so.5", "postgresql", "a PostgreSQL database that instances share", "recommended");

static void libpq_load_once(void)
{
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL); /* stays for good */
    is_loaded = library && libpq_find_all(library);
    if (!is_loaded) {
        const char *why = dlerror();
        LOG(LOG_ERROR, "libpq_missing", LOG_TEXT_("detail", why ? why : "a function is missing"));
    }
}

struct err libpq_load(const struct libpq_calls **out)
{
    pthread_once(&once, libpq_load_once);
    if (!is_loaded)
        return failed(ERR_UNAVAILABLE, "libpq (libpq.so.5) is needed for DATABASE_URL, and is missing");
    *out = &calls;
    return OK;
}
