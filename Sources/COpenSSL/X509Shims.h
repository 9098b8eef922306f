/* X.509 for Swift: the macros and inline functions of stacks, key generation, PKCS#12. No logic here. */
#ifndef GW_X509_SHIMS_H
#define GW_X509_SHIMS_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

static inline STACK_OF(X509) *gw_x509_stack(void) { return sk_X509_new_null(); }
/* Takes the certificate over; 1, or 0 when there is no memory. */
static inline int gw_x509_push(STACK_OF(X509) *stack, X509 *certificate) { return sk_X509_push(stack, certificate) > 0; }
static inline void gw_x509_stack_free(STACK_OF(X509) *stack) { sk_X509_pop_free(stack, X509_free); }
static inline int gw_x509_count(const STACK_OF(X509) *stack) { return stack == NULL ? 0 : sk_X509_num(stack); }

static inline EVP_PKEY *gw_generate_ec(const char *curve) { return EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve); }
static inline EVP_PKEY *gw_generate_rsa(size_t bits) { return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits); }
static inline EVP_PKEY *gw_generate_ed25519(void) { return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); }

/* Macros of EVP_PKEY_CTX. */
static inline int gw_use_pss(EVP_PKEY_CTX *context, int salt) {
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt) == 1;
}
static inline void gw_free(void *block) { OPENSSL_free(block); }
static inline void gw_clear_free(void *block, size_t count) { OPENSSL_clear_free(block, count); }

#endif
