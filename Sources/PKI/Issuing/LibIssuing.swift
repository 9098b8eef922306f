import COpenSSL
import GatewayCrypto

/// One EVP_PKEY with its private half, wiped and freed in deinit. Signing takes a context of its own, so that many may use a key at once.
@safe struct LibPrivateKey: ~Copyable, @unchecked Sendable {
    private let pointer: OpaquePointer

    init(generating kind: IssuingKey.Kind) throws(IssuingError) {
        defer { ERR_clear_error() }
        let made: OpaquePointer?
        switch kind {
        case .ecP256: unsafe made = gw_generate_ec("P-256")
        case .ecP384: unsafe made = gw_generate_ec("P-384")
        case .ecP521: unsafe made = gw_generate_ec("P-521")
        case .ed25519: unsafe made = gw_generate_ed25519()
        case .rsa(let bits):
            guard (1024...SubjectKey.maximumRSABits).contains(bits) else { throw .badValue }
            unsafe made = gw_generate_rsa(bits)
        }
        guard let made = unsafe made else { throw .library }
        unsafe pointer = made
    }

    /// PKCS#8, PKCS#1 or SEC 1 in DER, all of it.
    init(_ der: borrowing SecretOctets) throws(IssuingError) {
        defer { ERR_clear_error() }
        let made = unsafe der.withUnsafeBytes { octets -> OpaquePointer? in
            let start = unsafe octets.assumingMemoryBound(to: UInt8.self).baseAddress
            var cursor = unsafe start
            guard octets.count <= PEM.maximumSize, let made = unsafe d2i_AutoPrivateKey(nil, &cursor, octets.count) else { return nil }
            guard unsafe cursor == start.map({ unsafe $0 + octets.count }) else {
                unsafe EVP_PKEY_free(made)
                return nil
            }
            return unsafe made
        }
        guard let made = unsafe made else { throw .noKey }
        unsafe pointer = made
    }

    deinit { unsafe EVP_PKEY_free(pointer) }

    borrowing func subjectPublicKeyInfo() throws(IssuingError) -> [UInt8] {
        defer { ERR_clear_error() }
        var made: UnsafeMutablePointer<UInt8>?
        let count = unsafe i2d_PUBKEY(pointer, &made)
        guard count > 0, let octets = unsafe made else { throw .library }
        defer { unsafe gw_free(octets) }
        return unsafe [UInt8](UnsafeBufferPointer(start: octets, count: Int(count)))
    }

    borrowing func pkcs8() throws(IssuingError) -> SecretOctets {
        defer { ERR_clear_error() }
        guard let info = unsafe EVP_PKEY2PKCS8(pointer) else { throw .library }
        defer { unsafe PKCS8_PRIV_KEY_INFO_free(info) }
        var made: UnsafeMutablePointer<UInt8>?
        let count = unsafe i2d_PKCS8_PRIV_KEY_INFO(info, &made)
        guard count > 0, let octets = unsafe made else { throw .library }
        defer { unsafe gw_clear_free(octets, Int(count)) }
        return unsafe SecretOctets(copying: UnsafeRawBufferPointer(start: octets, count: Int(count)))
    }

    borrowing func sign(_ octets: [UInt8], _ form: CertificateSignature) throws(IssuingError) -> [UInt8] {
        defer { ERR_clear_error() }
        guard let context = unsafe EVP_MD_CTX_new() else { throw .library }
        defer { unsafe EVP_MD_CTX_free(context) }
        // Ed25519 hashes by itself
        let digest = unsafe EVP_PKEY_is_a(pointer, "ED25519") == 1 ? nil : form.digest
        var keyContext: OpaquePointer?
        guard unsafe EVP_DigestSignInit_ex(context, &keyContext, digest, nil, nil, pointer, nil) == 1 else { throw .library }
        if form.usesPSS {
            guard unsafe gw_use_pss(keyContext, Int32(form.saltLength)) == 1 else { throw .library }
        }
        var signature = [UInt8](repeating: 0, count: Int(unsafe EVP_PKEY_get_size(pointer)))
        var count = signature.count
        guard unsafe EVP_DigestSign(context, &signature, &count, octets, octets.count) == 1, count <= signature.count else { throw .library }
        return Array(signature.prefix(count))
    }

    borrowing func pkcs12(
        _ certificate: Certificate, _ authorities: [Certificate], password: String, friendlyName: String, _ protection: PKCS12Protection
    ) throws(IssuingError) -> [UInt8] {
        defer { ERR_clear_error() }
        guard let leaf = try? LibCertificate(certificate, depth: 0), let chain = unsafe gw_x509_stack() else { throw .library }
        defer { unsafe gw_x509_stack_free(chain) }
        for authority in authorities {
            guard let other = try? LibCertificate(authority, depth: 0), unsafe X509_up_ref(other.pointer) == 1 else { throw .library }
            guard unsafe gw_x509_push(chain, other.pointer) == 1 else {
                unsafe X509_free(other.pointer)
                throw .library
            }
        }
        // no MAC here: its digest is chosen below
        let cipher = protection == .compatible ? NID_pbe_WithSHA1And3_Key_TripleDES_CBC : NID_aes_256_cbc
        let iterations: Int32 = protection == .compatible ? 2048 : 10_000
        guard let bundle = unsafe PKCS12_create(password, friendlyName, pointer, leaf.pointer, chain, cipher, cipher, iterations, -1, 0)
        else { throw .library }
        defer { unsafe PKCS12_free(bundle) }
        let digest = unsafe protection == .compatible ? EVP_sha1() : EVP_sha256()
        guard unsafe PKCS12_set_mac(bundle, password, -1, nil, 0, iterations, digest) == 1 else { throw .library }
        var made: UnsafeMutablePointer<UInt8>?
        let count = unsafe i2d_PKCS12(bundle, &made)
        guard count > 0, let octets = unsafe made else { throw .library }
        defer { unsafe gw_clear_free(octets, Int(count)) }
        return unsafe [UInt8](UnsafeBufferPointer(start: octets, count: Int(count)))
    }
}
