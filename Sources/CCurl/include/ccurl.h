/// libcurl (https://curl.se/libcurl/c/), loaded when it is first used.
///
/// It brings thirty further libraries along, which would cost every run of the program some milliseconds, also those that never leave the
/// machine. So nothing links it: `ccurl_load` opens libcurl.so.4 (its name since 2006), and the functions below call what was found.
/// Variadic setters have one function for each kind of argument, since Swift calls no variadic C function.

#ifndef REPO_CCURL_H
#define REPO_CCURL_H

#include <stddef.h>

#define CURL_DISABLE_TYPECHECK 1
#include <curl/curl.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Opens the library and initialises it, once in a process and from any thread. Null, or why it could not: text that stays valid.
const char *ccurl_load(void);

// What follows may be called only after ccurl_load returned null.

CURL *ccurl_easy_init(void);
void ccurl_easy_reset(CURL *handle);
void ccurl_easy_cleanup(CURL *handle);
CURLcode ccurl_easy_perform(CURL *handle);
const char *ccurl_easy_strerror(CURLcode code);

CURLcode ccurl_set_long(CURL *handle, CURLoption option, long value);
CURLcode ccurl_set_offset(CURL *handle, CURLoption option, curl_off_t value);
/// The library copies the text.
CURLcode ccurl_set_text(CURL *handle, CURLoption option, const char *value);
/// The caller keeps what it points to alive.
CURLcode ccurl_set_pointer(CURL *handle, CURLoption option, void *value);
CURLcode ccurl_set_writer(CURL *handle, CURLoption option, curl_write_callback function);
CURLcode ccurl_set_reader(CURL *handle, curl_read_callback function);
CURLcode ccurl_set_seeker(CURL *handle, curl_seek_callback function);

CURLcode ccurl_get_long(CURL *handle, CURLINFO info, long *value);

/// Null when there is no memory left; the list is unchanged then.
struct curl_slist *ccurl_slist_append(struct curl_slist *list, const char *text);
void ccurl_slist_free_all(struct curl_slist *list);

#ifdef __cplusplus
}
#endif

#endif
