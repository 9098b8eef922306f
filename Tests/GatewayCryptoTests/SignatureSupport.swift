import COpenSSL
import Synchronization
import Testing

@testable import GatewayCrypto

/// Keys made for a test, by the library itself; with what our own code does not let anybody do.
final class TestKey: @unchecked Sendable {
    private let pointer: OpaquePointer
    /// The library changes an EC key while it writes it as PKCS #8, and puts it right again: two writers of one key spoil each other's file.
    private let writing = Mutex<Void>(())

    enum Kind: Sendable { case rsa(bits: Int32, exponent: UInt), ec(String), other(String) }

    static let rsa2048 = TestKey(.rsa(bits: 2048, exponent: 65537))
    static let p256 = TestKey(.ec("P-256"))
    static let p384 = TestKey(.ec("P-384"))
    static let p521 = TestKey(.ec("P-521"))
    static let ed25519 = TestKey(.other("ED25519"))

    static let all: [(name: String, key: TestKey)] = [
        ("RSA", rsa2048), ("P-256", p256), ("P-384", p384), ("P-521", p521), ("Ed25519", ed25519),
    ]

    init(_ kind: Kind) {
        let name =
            switch kind {
            case .rsa: "RSA"
            case .ec: "EC"
            case .other(let name): name
            }
        let context = EVP_PKEY_CTX_new_from_name(nil, name, nil)
        defer { EVP_PKEY_CTX_free(context) }
        precondition(EVP_PKEY_keygen_init(context) == 1)
        switch kind {
        case .rsa(let bits, let exponent):
            precondition(EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) == 1)
            let e = BN_new()
            defer { BN_free(e) }
            BN_set_word(e, exponent)
            precondition(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, e) == 1)
        case .ec(let curve): precondition(EVP_PKEY_CTX_set_group_name(context, curve) == 1)
        case .other: break
        }
        var key: OpaquePointer?
        precondition(EVP_PKEY_generate(context, &key) == 1)
        pointer = key!
    }

    deinit { EVP_PKEY_free(pointer) }

    /// SubjectPublicKeyInfo.
    var publicOctets: [UInt8] {
        var octets: UnsafeMutablePointer<UInt8>?
        let count = i2d_PUBKEY(pointer, &octets)
        precondition(count > 0)
        defer { CRYPTO_free(octets, nil, 0) }
        return [UInt8](UnsafeBufferPointer(start: octets, count: Int(count)))
    }

    enum Form: CaseIterable, Sendable { case pem, der, olderPEM, olderDER, encryptedPEM, encryptedDER, olderEncryptedPEM }

    /// A file of the private key; nil where there is no such form.
    func file(_ form: Form, passphrase: String = "") -> SecretOctets? {
        writing.withLock { _ in write(form, passphrase: passphrase) }
    }

    private func write(_ form: Form, passphrase: String) -> SecretOctets? {
        let stream = BIO_new(BIO_s_mem())
        defer { BIO_free(stream) }
        let phrase = Array(passphrase.utf8).map { CChar(bitPattern: $0) }
        let count = Int32(phrase.count)
        let written =
            switch form {
            case .pem: PEM_write_bio_PKCS8PrivateKey(stream, pointer, nil, nil, 0, nil, nil)
            case .der: i2d_PKCS8PrivateKey_bio(stream, pointer, nil, nil, 0, nil, nil)
            case .encryptedPEM: PEM_write_bio_PKCS8PrivateKey(stream, pointer, EVP_aes_256_cbc(), phrase, count, nil, nil)
            case .encryptedDER: i2d_PKCS8PrivateKey_bio(stream, pointer, EVP_aes_256_cbc(), phrase, count, nil, nil)
            case .olderPEM: PEM_write_bio_PrivateKey_traditional(stream, pointer, nil, nil, 0, nil, nil)
            case .olderEncryptedPEM:
                phrase.withUnsafeBytes {
                    PEM_write_bio_PrivateKey_traditional(
                        stream, pointer, EVP_aes_128_cbc(), $0.baseAddress?.assumingMemoryBound(to: UInt8.self), count, nil, nil)
                }
            case .olderDER: i2d_PrivateKey_bio(stream, pointer)
            }
        guard written == 1 else {
            ERR_clear_error()
            return nil
        }
        var result = SecretOctets(count: 20_000)
        let length = result.withUnsafeMutableBytes { BIO_read(stream, $0.baseAddress, Int32($0.count)) }
        return try? result.slice(0..<Int(length))
    }

    struct NoSuchForm: Error {}

    /// A file of the private key; throws where there is no such form.
    func needed(_ form: Form, passphrase: String = "") throws -> SecretOctets {
        guard let file = file(form, passphrase: passphrase) else { throw NoSuchForm() }
        return file
    }

    /// Our own key of the same numbers.
    func privateKey() throws -> PrivateKey { try PrivateKey(try needed(.der)) }
    func publicKey() throws -> PublicKey { try PublicKey(subjectPublicKeyInfo: publicOctets) }

    /// RSA on a block that is already padded, however wrongly.
    func power(_ block: [UInt8]) -> [UInt8] {
        let context = EVP_PKEY_CTX_new_from_pkey(nil, pointer, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var signature = [UInt8](repeating: 0, count: block.count)
        var count = signature.count
        precondition(EVP_PKEY_sign_init(context) == 1 && EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING) == 1)
        precondition(EVP_PKEY_sign(context, &signature, &count, block, block.count) == 1 && count == block.count)
        return signature
    }

    /// RSA-PSS as one likes.
    func pss(_ message: [UInt8], hash: String, mask: String, salt: Int32) -> [UInt8] {
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        var key: OpaquePointer?
        precondition(EVP_DigestSignInit_ex(context, &key, hash, nil, nil, pointer, nil) == 1)
        precondition(EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) == 1)
        precondition(EVP_PKEY_CTX_set_rsa_mgf1_md_name(key, mask, nil) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(key, salt) == 1)
        var signature = [UInt8](repeating: 0, count: 256)
        var count = signature.count
        precondition(EVP_DigestSign(context, &signature, &count, message, message.count) == 1)
        return signature
    }
}

extension PublicKey {
    func accepts(_ signature: [UInt8], over message: [UInt8], by scheme: SignatureScheme) -> Bool {
        (try? verify(signature, over: message, by: scheme)) != nil
    }
}

extension SignatureScheme: CustomTestStringConvertible {
    public var testDescription: String { description }
}
