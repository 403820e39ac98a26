#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

// Hidden, so that libpq's calls of its own functions never come here. What libpq's header includes itself stands above.
#pragma GCC visibility push(hidden)
#include "CPQ.h"
#pragma GCC visibility pop

// What is used of libpq: result, name, parameters, arguments. All of it is in the libpq of PostgreSQL 9.2 and newer; the name of the file has
// not changed since 8.2.
#define LIBRARY "libpq.so.5"
#define FUNCTIONS(F) \
    F(PGconn *, PQconnectdbParams, (const char *const *keywords, const char *const *values, int expand), (keywords, values, expand)) \
    F(void, PQfinish, (PGconn *connection), (connection)) \
    F(PQconninfoOption *, PQconninfoParse, (const char *text, char **problem), (text, problem)) \
    F(void, PQconninfoFree, (PQconninfoOption *options), (options)) \
    F(ConnStatusType, PQstatus, (const PGconn *connection), (connection)) \
    F(const char *, PQparameterStatus, (const PGconn *connection, const char *name), (connection, name)) \
    F(int, PQserverVersion, (const PGconn *connection), (connection)) \
    F(char *, PQerrorMessage, (const PGconn *connection), (connection)) \
    F(int, PQsocket, (const PGconn *connection), (connection)) \
    F(PQnoticeReceiver, PQsetNoticeReceiver, (PGconn *connection, PQnoticeReceiver receiver, void *context), (connection, receiver, context)) \
    F(int, PQsendQuery, (PGconn *connection, const char *query), (connection, query)) \
    F(int, PQsendQueryParams, \
      (PGconn *connection, const char *command, int count, const Oid *types, const char *const *values, const int *lengths, \
       const int *formats, int format), \
      (connection, command, count, types, values, lengths, formats, format)) \
    F(PGresult *, PQgetResult, (PGconn *connection), (connection)) \
    F(int, PQisBusy, (PGconn *connection), (connection)) \
    F(int, PQconsumeInput, (PGconn *connection), (connection)) \
    F(int, PQflush, (PGconn *connection), (connection)) \
    F(int, PQputCopyData, (PGconn *connection, const char *buffer, int count), (connection, buffer, count)) \
    F(int, PQputCopyEnd, (PGconn *connection, const char *problem), (connection, problem)) \
    F(int, PQgetCopyData, (PGconn *connection, char **buffer, int async), (connection, buffer, async)) \
    F(ExecStatusType, PQresultStatus, (const PGresult *result), (result)) \
    F(char *, PQresStatus, (ExecStatusType status), (status)) \
    F(char *, PQresultErrorMessage, (const PGresult *result), (result)) \
    F(char *, PQresultErrorField, (const PGresult *result, int code), (result, code)) \
    F(int, PQntuples, (const PGresult *result), (result)) \
    F(int, PQnfields, (const PGresult *result), (result)) \
    F(char *, PQcmdStatus, (PGresult *result), (result)) \
    F(char *, PQgetvalue, (const PGresult *result, int row, int column), (result, row, column)) \
    F(int, PQgetlength, (const PGresult *result, int row, int column), (result, row, column)) \
    F(int, PQgetisnull, (const PGresult *result, int row, int column), (result, row, column)) \
    F(void, PQclear, (PGresult *result), (result)) \
    F(void, PQfreemem, (void *memory), (memory))

static struct {
#define POINTER(result, name, parameters, arguments) __typeof__(&name) name;
    FUNCTIONS(POINTER)
} loaded;

static char problem[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    void *library = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        snprintf(problem, sizeof problem, "%s", why ? why : LIBRARY " cannot be loaded");
        return;
    }
    // The program never unloads it.
#define FIND(result, name, parameters, arguments) \
    loaded.name = (__typeof__(&name))dlsym(library, #name); \
    if (!loaded.name && !problem[0]) snprintf(problem, sizeof problem, "%s has no %s", LIBRARY, #name);
    FUNCTIONS(FIND)
}

const char *repo_pq_load(void) {
    pthread_once(&once, load);
    return problem[0] ? problem : NULL;
}

static void require(void) {
    if (!repo_pq_load()) return;
    fprintf(stderr, "repo: %s\n", problem);
    abort();
}

#define DEFINE(result, name, parameters, arguments) \
    result name parameters { \
        if (__builtin_expect(!loaded.name, 0)) require(); \
        return loaded.name arguments; \
    }
FUNCTIONS(DEFINE)
