/* intel-ipsec-mb 1.3 for Swift: its header, and what Swift cannot import (macros over a table of functions). No logic here. */
#ifndef GW_CIPSECMB_H
#define GW_CIPSECMB_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <intel-ipsec-mb.h>

/* May be called from Swift functions that neither lock nor count references. */
#define GW_MB_HOT __attribute__((swift_attr("@_noLocks"))) static inline

/* MARK: Keys. Blocks are 64-octet aligned. */

/* A nonce stands behind GCM's tables in their block (LibIPsecMB/MultiBuffer.swift): a library with longer tables must not be built with. */
_Static_assert(sizeof(struct gcm_key_data) <= 1008, "GCM's tables have grown: move the nonce, and the block's end, in MultiBuffer.swift");

static inline void gw_mb_gcm_key(IMB_MGR *m, int bits, const void *key, void *block) {
    struct gcm_key_data *data = (struct gcm_key_data *)block;
    switch (bits) {
    case 128: IMB_AES128_GCM_PRE(m, key, data); break;
    case 192: IMB_AES192_GCM_PRE(m, key, data); break;
    default: IMB_AES256_GCM_PRE(m, key, data); break;
    }
}
static inline void gw_mb_cbc_key(IMB_MGR *m, int bits, const void *key, void *encrypt, void *decrypt) {
    switch (bits) {
    case 128: IMB_AES_KEYEXP_128(m, key, encrypt, decrypt); break;
    case 192: IMB_AES_KEYEXP_192(m, key, encrypt, decrypt); break;
    default: IMB_AES_KEYEXP_256(m, key, encrypt, decrypt); break;
    }
}
/* The hash's state behind one block of input: 64 octets with MD5, SHA-1 and SHA-256, else 128. */
static inline void gw_mb_one_block(IMB_MGR *m, IMB_HASH_ALG hash, const void *input, void *state) {
    switch (hash) {
    case IMB_AUTH_MD5: IMB_MD5_ONE_BLOCK(m, input, state); break;
    case IMB_AUTH_HMAC_SHA_1: IMB_SHA1_ONE_BLOCK(m, input, state); break;
    case IMB_AUTH_HMAC_SHA_256: IMB_SHA256_ONE_BLOCK(m, input, state); break;
    case IMB_AUTH_HMAC_SHA_384: IMB_SHA384_ONE_BLOCK(m, input, state); break;
    default: IMB_SHA512_ONE_BLOCK(m, input, state); break;
    }
}
static inline aes_gcm_enc_dec_t gw_mb_gcm_function(const IMB_MGR *m, int bits, int seals) {
    switch (bits) {
    case 128: return seals ? m->gcm128_enc : m->gcm128_dec;
    case 192: return seals ? m->gcm192_enc : m->gcm192_dec;
    default: return seals ? m->gcm256_enc : m->gcm256_dec;
    }
}

/* MARK: One record at once, in place. No pointer is null, whatever its length. */

GW_MB_HOT void gw_mb_gcm(aes_gcm_enc_dec_t run, const void *key, void *text, size_t count, const void *nonce, const void *aad, size_t aad_count,
                         void *tag, size_t tag_count) {
    struct gcm_context_data context;
    run((const struct gcm_key_data *)key, &context, (uint8_t *)text, (const uint8_t *)text, count, (const uint8_t *)nonce, (const uint8_t *)aad,
        aad_count, (uint8_t *)tag, tag_count);
}
#define GW_MB_GMAC(bits)                                                                              \
    do {                                                                                              \
        IMB_AES##bits##_GMAC_INIT(m, data, &context, (const uint8_t *)nonce, 12);                     \
        if (first_count > 0) IMB_AES##bits##_GMAC_UPDATE(m, data, &context, (const uint8_t *)first, first_count);    \
        if (second_count > 0) IMB_AES##bits##_GMAC_UPDATE(m, data, &context, (const uint8_t *)second, second_count); \
        if (third_count > 0) IMB_AES##bits##_GMAC_UPDATE(m, data, &context, (const uint8_t *)third, third_count);    \
        IMB_AES##bits##_GMAC_FINALIZE(m, data, &context, (uint8_t *)tag, 16);                         \
    } while (0)
GW_MB_HOT void gw_mb_gmac(const IMB_MGR *m, int bits, const void *key, const void *nonce, const void *first, size_t first_count,
                          const void *second, size_t second_count, const void *third, size_t third_count, void *tag) {
    const struct gcm_key_data *data = (const struct gcm_key_data *)key;
    struct gcm_context_data context;
    switch (bits) {
    case 128: GW_MB_GMAC(128); break;
    case 192: GW_MB_GMAC(192); break;
    default: GW_MB_GMAC(256); break;
    }
}
#undef GW_MB_GMAC
GW_MB_HOT void gw_mb_chacha20_poly1305(const IMB_MGR *m, int seals, const void *key, void *text, size_t count, const void *nonce,
                                       const void *aad, size_t aad_count, void *tag) {
    struct chacha20_poly1305_context_data context;
    IMB_CHACHA20_POLY1305_INIT(m, key, &context, nonce, aad, aad_count);
    if (seals) {
        if (count > 0) IMB_CHACHA20_POLY1305_ENC_UPDATE(m, key, &context, text, text, count);
        IMB_CHACHA20_POLY1305_ENC_FINALIZE(m, &context, tag, 16);
    } else {
        if (count > 0) IMB_CHACHA20_POLY1305_DEC_UPDATE(m, key, &context, text, text, count);
        IMB_CHACHA20_POLY1305_DEC_FINALIZE(m, &context, tag, 16);
    }
    explicit_bzero(&context, sizeof context); /* holds the record's key of Poly1305 */
}

/* MARK: Jobs. Each submission answers a finished job, not always its own, or null. `ticket` comes back with it. */

GW_MB_HOT IMB_JOB *gw_mb_job(IMB_MGR *m, size_t ticket, int seals, const void *text, size_t count, void *tag, size_t tag_count) {
    IMB_JOB *job = IMB_GET_NEXT_JOB(m);
    memset(job, 0, sizeof *job);
    job->user_data = (void *)ticket;
    job->cipher_direction = seals ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
    job->chain_order = seals ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job->msg_len_to_cipher_in_bytes = count;
    job->auth_tag_output = (uint8_t *)tag;
    job->auth_tag_output_len_in_bytes = tag_count;
    job->src = (const uint8_t *)text;
    job->dst = (uint8_t *)text;
    return job;
}
GW_MB_HOT IMB_JOB *gw_mb_submit_chacha20_poly1305(IMB_MGR *m, size_t ticket, int seals, const void *key, void *text, size_t count,
                                                  const void *nonce, const void *aad, size_t aad_count, void *tag) {
    IMB_JOB *job = gw_mb_job(m, ticket, seals, text, count, tag, 16);
    job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job->enc_keys = key;
    job->dec_keys = key;
    job->key_len_in_bytes = 32;
    job->iv = (const uint8_t *)nonce;
    job->iv_len_in_bytes = 12;
    job->msg_len_to_hash_in_bytes = count;
    job->u.CHACHA20_POLY1305.aad = aad;
    job->u.CHACHA20_POLY1305.aad_len_in_bytes = aad_count;
    return IMB_SUBMIT_JOB(m);
}
/* `packet` is associated data, IV and text in one piece. */
GW_MB_HOT IMB_JOB *gw_mb_submit_gmac(IMB_MGR *m, size_t ticket, int seals, int bits, const void *key, const void *packet, size_t count,
                                     const void *nonce, void *tag) {
    IMB_JOB *job = gw_mb_job(m, ticket, seals, packet, 0, tag, 16);
    job->cipher_mode = IMB_CIPHER_NULL;
    job->hash_alg = bits == 128 ? IMB_AUTH_AES_GMAC_128 : bits == 192 ? IMB_AUTH_AES_GMAC_192 : IMB_AUTH_AES_GMAC_256;
    job->msg_len_to_hash_in_bytes = count;
    job->u.GMAC._key = (const struct gcm_key_data *)key;
    job->u.GMAC._iv = nonce;
    job->u.GMAC.iv_len_in_bytes = 12;
    return IMB_SUBMIT_JOB(m);
}
/* `packet` is associated data, IV, text and trailer in one piece; a key of 0 octets leaves the text as it is. */
GW_MB_HOT IMB_JOB *gw_mb_submit_hmac(IMB_MGR *m, size_t ticket, int seals, const void *key, size_t key_count, IMB_HASH_ALG hash, const void *inner,
                                     const void *outer, void *packet, size_t iv_offset, size_t offset, size_t count, size_t hash_count, void *tag,
                                     size_t tag_count) {
    IMB_JOB *job = gw_mb_job(m, ticket, seals, packet, count, tag, tag_count);
    job->cipher_mode = key_count > 0 ? IMB_CIPHER_CBC : IMB_CIPHER_NULL;
    job->hash_alg = hash;
    job->enc_keys = key;
    job->dec_keys = key;
    job->key_len_in_bytes = key_count;
    job->dst = (uint8_t *)packet + offset;
    job->cipher_start_src_offset_in_bytes = offset;
    job->iv = (const uint8_t *)packet + iv_offset;
    job->iv_len_in_bytes = 16;
    job->msg_len_to_hash_in_bytes = hash_count;
    job->u.HMAC._hashed_auth_key_xor_ipad = (const uint8_t *)inner;
    job->u.HMAC._hashed_auth_key_xor_opad = (const uint8_t *)outer;
    return IMB_SUBMIT_JOB(m);
}
GW_MB_HOT IMB_JOB *gw_mb_flush(IMB_MGR *m) { return IMB_FLUSH_JOB(m); }
GW_MB_HOT size_t gw_mb_ticket(const IMB_JOB *job) { return (size_t)job->user_data; }
GW_MB_HOT int gw_mb_succeeded(const IMB_JOB *job) { return job->status == IMB_STATUS_COMPLETED; }

#endif
