/* OpenSSL 3.0 for Swift: its headers, and what Swift cannot import (macros, functions for the packet path). No logic here. */
#ifndef GW_COPENSSL_H
#define GW_COPENSSL_H

/* What OpenSSL 3.0 deprecates is not declared at all, so that its use is an error. */
#ifndef OPENSSL_API_COMPAT
#define OPENSSL_API_COMPAT 30000
#endif
#ifndef OPENSSL_NO_DEPRECATED
#define OPENSSL_NO_DEPRECATED
#endif

#include <malloc.h>
#include <stddef.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

/* May be called from Swift functions that neither lock nor count references. */
#define GW_HOT __attribute__((swift_attr("@_noLocks"))) static inline

/* Macros: OPENSSL_malloc, OPENSSL_clear_free, BN_num_bytes. */
static inline void *gw_allocate(size_t count) { return OPENSSL_zalloc(count); }
static inline void gw_wipe_and_free(void *block, size_t count) { OPENSSL_clear_free(block, count); }
GW_HOT void gw_wipe(void *block, size_t count) { OPENSSL_cleanse(block, count); }
static inline void gw_set_constant_time(BIGNUM *number) { BN_set_flags(number, BN_FLG_CONSTTIME); }

/* A key of X25519 or X448 from both of its values. */
static inline int gw_raw_key_pair(EVP_PKEY_CTX *context, EVP_PKEY **key, const void *secret, const void *published, size_t count) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)secret, count),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)published, count),
        OSSL_PARAM_construct_end(),
    };
    return EVP_PKEY_fromdata(context, key, EVP_PKEY_KEYPAIR, parameters);
}

/* Public keys for signatures from their numbers; NULL where the library takes them for none. */
static inline EVP_PKEY *gw_public_key(const char *type, OSSL_PARAM *parameters) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 || EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}
static inline EVP_PKEY *gw_rsa_public_key(const BIGNUM *modulus, const BIGNUM *exponent) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    if (builder != NULL && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1
        && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        parameters = OSSL_PARAM_BLD_to_param(builder);
    if (parameters != NULL) key = gw_public_key("RSA", parameters);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    return key;
}
static inline EVP_PKEY *gw_ec_public_key(const char *curve, const void *point, size_t count) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, count),
        OSSL_PARAM_construct_end(),
    };
    return gw_public_key("EC", parameters);
}

/* malloc.h is in no module of Swift's. */
static inline size_t gw_usable_size(void *block) { return malloc_usable_size(block); }

/* Ciphers keyed once: a new IV per packet, associated data where `out` is NULL, in place where `out` is `in`. All answer 1 or 0. */
GW_HOT int gw_cipher_restart(EVP_CIPHER_CTX *context, const void *iv) {
    return EVP_CipherInit_ex(context, NULL, NULL, NULL, (const unsigned char *)iv, -1) == 1;
}
GW_HOT int gw_cipher_update(EVP_CIPHER_CTX *context, void *out, const void *in, int count) {
    int written = 0;
    return EVP_CipherUpdate(context, (unsigned char *)out, &written, (const unsigned char *)in, count) == 1 && written == count;
}
GW_HOT int gw_cipher_finish(EVP_CIPHER_CTX *context) {
    unsigned char rest[EVP_MAX_BLOCK_LENGTH];
    int written = 0;
    return EVP_CipherFinal_ex(context, rest, &written) == 1 && written == 0;
}
GW_HOT int gw_cipher_tag(EVP_CIPHER_CTX *context, void *tag, int count) {
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, count, tag) == 1;
}
GW_HOT int gw_cipher_expect_tag(EVP_CIPHER_CTX *context, const void *tag, int count) {
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, count, (void *)tag) == 1;
}

/* Digests through the provider's own functions (provider-digest(7)): EVP_DigestInit_ex of 3.0 frees and allocates the state every time. */
GW_HOT int gw_digest_restart(OSSL_FUNC_digest_init_fn *init, void *state) { return init(state, NULL) == 1; }
GW_HOT int gw_digest_update(OSSL_FUNC_digest_update_fn *update, void *state, const void *octets, size_t count) {
    return update(state, (const unsigned char *)octets, count) == 1;
}
GW_HOT int gw_digest_finish(OSSL_FUNC_digest_final_fn *final, void *state, void *digest, size_t count) {
    size_t written = 0;
    return final(state, (unsigned char *)digest, &written, count) == 1 && written == count;
}

GW_HOT int gw_equal(const void *left, const void *right, size_t count) { return CRYPTO_memcmp(left, right, count) == 0; }
GW_HOT void gw_prefetch(const void *place) { __builtin_prefetch(place); }
GW_HOT void gw_copy(void *to, const void *from, size_t count) { memcpy(to, from, count); }

#include "X509Shims.h"

#endif
