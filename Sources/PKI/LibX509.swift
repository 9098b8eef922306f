import COpenSSL
import GatewayCrypto

/// OpenSSL's X.509. Every call into it stands in this file and in `Issuing/LibIssuing.swift`; octets come in, values go out (threats.md C4).
enum LibX509 {
    /// RFC 5280 path validation of exactly this path: end entity first, trust anchor last; `read` is the same path as OpenSSL has it. The other
    /// certificates are untrusted to OpenSSL, the anchor is all it trusts. Throws OpenSSL's first objection by its plain name.
    static func verify(
        _ path: [Certificate], _ read: [LibCertificate], _ strength: PathStrength, at time: CertificateTime
    ) throws(PathFailure) {
        guard let leaf = read.first, let root = read.last, path.count > 1, read.count == path.count else { throw PathFailure(.noCertificate) }
        // what OpenSSL keeps about a failure is of no use to us, and belongs to the thread
        defer { ERR_clear_error() }
        guard let untrusted = unsafe gw_x509_stack() else { throw PathFailure(.refused(code: Int(X509_V_ERR_OUT_OF_MEM))) }
        defer { unsafe gw_x509_stack_free(untrusted) }
        for intermediate in read.dropFirst().dropLast() {
            guard unsafe X509_up_ref(intermediate.pointer) == 1 else { throw PathFailure(.refused(code: Int(X509_V_ERR_OUT_OF_MEM))) }
            guard unsafe gw_x509_push(untrusted, intermediate.pointer) == 1 else {
                unsafe X509_free(intermediate.pointer)
                throw PathFailure(.refused(code: Int(X509_V_ERR_OUT_OF_MEM)))
            }
        }
        guard let store = unsafe X509_STORE_new() else { throw PathFailure(.refused(code: Int(X509_V_ERR_OUT_OF_MEM))) }
        defer { unsafe X509_STORE_free(store) }
        guard let context = unsafe X509_STORE_CTX_new() else { throw PathFailure(.refused(code: Int(X509_V_ERR_OUT_OF_MEM))) }
        defer { unsafe X509_STORE_CTX_free(context) }
        guard unsafe X509_STORE_add_cert(store, root.pointer) == 1,
            unsafe X509_STORE_CTX_init(context, store, leaf.pointer, untrusted) == 1,
            let parameters = unsafe X509_STORE_CTX_get0_param(context)
        else { throw PathFailure(.refused(code: Int(X509_V_ERR_OUT_OF_MEM))) }
        // any anchor may end the chain, also one that others issued (AUTH-11); policies as RFC 5280 section 6 with any-policy at the start
        let flags = UInt(X509_V_FLAG_PARTIAL_CHAIN) | UInt(X509_V_FLAG_POLICY_CHECK)
        guard unsafe X509_VERIFY_PARAM_set_flags(parameters, flags) == 1,
            unsafe X509_VERIFY_PARAM_add0_policy(parameters, OBJ_nid2obj(NID_any_policy)) == 1
        else { throw PathFailure(.refused(code: Int(X509_V_ERR_OUT_OF_MEM))) }
        unsafe X509_VERIFY_PARAM_set_time(parameters, time_t(time.unixSeconds))
        unsafe X509_VERIFY_PARAM_set_depth(parameters, Int32(TrustAnchors.maximumDepth - 1))
        unsafe X509_VERIFY_PARAM_set_auth_level(parameters, strength.securityLevel)
        let result = unsafe X509_verify_cert(context)
        let code = unsafe X509_STORE_CTX_get_error(context)
        // both must agree: a return code alone has deceived others (threats.md C6)
        if result == 1, code == X509_V_OK {
            guard unsafe gw_x509_count(X509_STORE_CTX_get0_chain(context)) == Int32(path.count) else { throw PathFailure(.refused(code: 0)) }
            return
        }
        let depth = min(max(Int(unsafe X509_STORE_CTX_get_error_depth(context)), 0), path.count - 1)
        throw PathFailure(cause(code), depth: depth, path[depth])
    }

    private static func cause(_ code: Int32) -> PathFailure.Cause {
        switch code {
        case X509_V_ERR_CERT_NOT_YET_VALID: .notYetValid
        case X509_V_ERR_CERT_HAS_EXPIRED: .expired
        case X509_V_ERR_CERT_SIGNATURE_FAILURE, X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
            X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM, X509_V_ERR_SIGNATURE_ALGORITHM_MISMATCH, X509_V_ERR_SIGNATURE_ALGORITHM_INCONSISTENCY:
            .badSignature
        case X509_V_ERR_CA_MD_TOO_WEAK: .weakSignature
        case X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL, X509_V_ERR_EC_KEY_EXPLICIT_PARAMS,
            X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY, X509_V_ERR_NO_ISSUER_PUBLIC_KEY:
            .weakKey
        case X509_V_ERR_INVALID_CA, X509_V_ERR_INVALID_NON_CA: .issuerIsNoAuthority
        case X509_V_ERR_KEYUSAGE_NO_CERTSIGN: .issuerKeyUsage
        case X509_V_ERR_CERT_CHAIN_TOO_LONG, X509_V_ERR_PATH_LENGTH_EXCEEDED: .pathTooLong
        case X509_V_ERR_PERMITTED_VIOLATION, X509_V_ERR_EXCLUDED_VIOLATION, X509_V_ERR_SUBTREE_MINMAX,
            X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE, X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX, X509_V_ERR_UNSUPPORTED_NAME_SYNTAX:
            .nameConstraint
        case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION: .unknownCriticalExtension
        case X509_V_ERR_INVALID_EXTENSION, X509_V_ERR_UNSUPPORTED_EXTENSION_FEATURE: .invalidExtension
        case X509_V_ERR_NO_EXPLICIT_POLICY, X509_V_ERR_INVALID_POLICY_EXTENSION: .policy
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
            X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_SUBJECT_ISSUER_MISMATCH, X509_V_ERR_AKID_SKID_MISMATCH,
            X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH, X509_V_ERR_PATH_LOOP, X509_V_ERR_CERT_UNTRUSTED, X509_V_ERR_CERT_REJECTED:
            .unknownAuthority
        default: .refused(code: Int(code))
        }
    }

    /// Whether two SubjectPublicKeyInfos hold the same key, however each writes it down.
    static func isSameKey(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        defer { ERR_clear_error() }
        guard let left = LibPublicKey(left), let right = LibPublicKey(right) else { return false }
        return unsafe EVP_PKEY_eq(left.pointer, right.pointer) == 1
    }

    /// Whether `issuer` signed `certificate`, whatever else they say.
    static func isSigned(_ certificate: Certificate, by issuer: Certificate) -> Bool {
        defer { ERR_clear_error() }
        guard let key = LibPublicKey(issuer.subjectPublicKeyInfo), let certificate = try? LibCertificate(certificate, depth: 0) else { return false }
        return unsafe X509_verify(certificate.pointer, key.pointer) == 1
    }
}

/// One X509, freed in deinit. Only read once it is made, by one thread until a path with it was validated (KnownCertificates.swift).
@safe final class LibCertificate: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Throws `.malformed` where OpenSSL reads the octets otherwise than we do: all of them must be one certificate.
    init(_ certificate: Certificate, depth: Int) throws(PathFailure) {
        let made = unsafe certificate.der.withUnsafeBufferPointer { octets -> OpaquePointer? in
            var cursor = octets.baseAddress
            guard let made = unsafe d2i_X509(nil, &cursor, octets.count) else { return nil }
            guard unsafe cursor == octets.baseAddress.map({ unsafe $0 + octets.count }) else {
                unsafe X509_free(made)
                return nil
            }
            return unsafe made
        }
        guard let made = unsafe made else { throw PathFailure(.malformed(.encoding(.badValue)), depth: depth, certificate) }
        unsafe pointer = made
    }

    deinit { unsafe X509_free(pointer) }
}

/// One EVP_PKEY with a public half only, freed in deinit.
@safe struct LibPublicKey: ~Copyable {
    let pointer: OpaquePointer

    init?(_ info: [UInt8]) {
        let made = unsafe info.withUnsafeBufferPointer { octets -> OpaquePointer? in
            var cursor = octets.baseAddress
            return unsafe d2i_PUBKEY(nil, &cursor, octets.count)
        }
        guard let made = unsafe made else { return nil }
        unsafe pointer = made
    }

    deinit { unsafe EVP_PKEY_free(pointer) }
}
