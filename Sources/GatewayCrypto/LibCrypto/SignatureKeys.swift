import COpenSSL

extension LibCrypto {
    /// What a public key is made of, after every check that needs no mathematics.
    enum PublicNumbers {
        /// Most significant octets first.
        case rsa(modulus: [UInt8], exponent: [UInt8])
        /// An uncompressed point, and its curve by the library's name.
        case point([UInt8], curve: String)
        case ed25519([UInt8])
    }

    /// A key of the library for signatures. Only read once it is made, which the library allows from many threads; freed, and wiped by it, in
    /// deinit.
    @safe final class SignatureKey: @unchecked Sendable {
        private let pointer: OpaquePointer

        /// From its numbers: the library's way through a SubjectPublicKeyInfo gathers all decoders of all providers for each key, and takes ten times
        /// as long (3.0). Throws `.invalidPublicValue`, as for a point off its curve.
        init(_ numbers: PublicNumbers) throws(CryptoError) {
            let made: OpaquePointer? =
                switch numbers {
                case .rsa(let modulus, let exponent): try unsafe SignatureKey.rsa(modulus, exponent)
                case .point(let point, let curve): unsafe gw_ec_public_key(curve, point, point.count)
                case .ed25519(let octets): unsafe EVP_PKEY_new_raw_public_key_ex(nil, "ED25519", nil, octets, octets.count)
                }
            guard let made = unsafe made else {
                _ = libraryFault()
                throw .invalidPublicValue
            }
            unsafe pointer = made
        }

        /// A file's octets, PEM or DER; an empty passphrase is none. Throws `.malformed`, `.passphraseNeeded`, `.wrongPassphrase`.
        init(privateKey file: borrowing SecretOctets, passphrase: borrowing SecretOctets) throws(KeyError) {
            guard let length = Int32(exactly: file.count), length > 0 else { throw .malformed }
            var asked = unsafe Asked(passphrase: passphrase.base, count: passphrase.count)
            let made = unsafe SignatureKey.read(file.base, length, &asked)
            ERR_clear_error()
            guard let made = unsafe made else {
                guard asked.wasAsked else { throw .malformed }
                throw passphrase.count == 0 ? .passphraseNeeded : .wrongPassphrase
            }
            unsafe pointer = made
        }

        deinit { unsafe EVP_PKEY_free(pointer) }

        private static func rsa(_ modulus: [UInt8], _ exponent: [UInt8]) throws(CryptoError) -> OpaquePointer? {
            let n = try Number(modulus)
            let e = try Number(exponent)
            return unsafe gw_rsa_public_key(n.pointer, e.pointer)
        }

        /// What the library's question for a passphrase is answered from; unanswered, it would go to the terminal.
        @safe private struct Asked {
            let passphrase: UnsafeMutableRawPointer
            let count: Int
            var wasAsked = false

            init(passphrase: UnsafeMutableRawPointer, count: Int) {
                unsafe self.passphrase = passphrase
                self.count = count
            }

            mutating func answer(_ room: UnsafeMutablePointer<CChar>?, _ length: Int32) -> Int32 {
                wasAsked = true
                guard let room = unsafe room, count > 0, count <= Int(length) else { return -1 }
                unsafe UnsafeMutableRawPointer(room).copyMemory(from: passphrase, byteCount: count)
                return Int32(truncatingIfNeeded: count)
            }
        }

        private static func read(_ file: UnsafeMutableRawPointer, _ length: Int32, _ asked: inout Asked) -> OpaquePointer? {
            func reading<Result>(_ body: (OpaquePointer) -> Result?) -> Result? {
                guard let stream = unsafe BIO_new_mem_buf(file, length) else { return nil }
                defer { unsafe BIO_free(stream) }
                return unsafe body(stream)
            }
            return unsafe withUnsafeMutablePointer(to: &asked) { asked -> OpaquePointer? in
                let inPEM = unsafe reading {
                    unsafe PEM_read_bio_PrivateKey_ex(
                        $0, nil, { unsafe $3?.assumingMemoryBound(to: Asked.self).pointee.answer($0, $1) ?? -1 }, asked, nil, nil)
                }
                if let key = unsafe inPEM { return unsafe key }
                guard unsafe !asked.pointee.wasAsked else { return nil }
                // DER in the clear, with nothing behind it; else encrypted PKCS #8.
                let start = unsafe UnsafePointer(file.assumingMemoryBound(to: UInt8.self))
                var end: UnsafePointer<UInt8>? = unsafe start
                if let key = unsafe d2i_AutoPrivateKey_ex(nil, &end, Int(length), nil, nil) {
                    if let end = unsafe end, unsafe end - start == Int(length) { return unsafe key }
                    unsafe EVP_PKEY_free(key)
                    return nil
                }
                return unsafe reading {
                    unsafe d2i_PKCS8PrivateKey_bio(
                        $0, nil, { unsafe $3?.assumingMemoryBound(to: Asked.self).pointee.answer($0, $1) ?? -1 }, asked)
                }
            }
        }

        /// The public half as SubjectPublicKeyInfo; throws `.library`.
        func publicKey() throws(KeyError) -> [UInt8] {
            var octets: UnsafeMutablePointer<UInt8>?
            let count = unsafe i2d_PUBKEY(pointer, &octets)
            guard count > 0, let octets = unsafe octets else {
                ERR_clear_error()
                throw .library
            }
            defer { unsafe CRYPTO_free(octets, nil, 0) }
            return unsafe [UInt8](UnsafeBufferPointer(start: octets, count: Int(count)))
        }

        /// Whether the signature is right; the caller saw to the scheme's being for this kind of key, and to the signature's length.
        func verifies(_ signature: [UInt8], over octets: [UInt8], by scheme: SignatureScheme) -> Bool {
            guard let context = unsafe EVP_MD_CTX_new() else { return false }
            defer { unsafe EVP_MD_CTX_free(context) }
            var key: OpaquePointer?
            let answer: Int32
            if unsafe EVP_DigestVerifyInit_ex(context, &key, scheme.digestName, nil, nil, pointer, nil) == 1,
                let key = unsafe key, unsafe Self.prepare(key, scheme)
            {
                answer = unsafe EVP_DigestVerify(context, signature, signature.count, octets, octets.count)
            } else {
                answer = -1
            }
            // Wrong signatures leave errors behind, other faults too: nothing but 1 is a yes (threats.md C6).
            ERR_clear_error()
            return answer == 1
        }

        /// A signature, ECDSA's in DER; throws `.library`.
        func signature(over octets: [UInt8], by scheme: SignatureScheme) throws(CryptoError) -> [UInt8] {
            guard let context = unsafe EVP_MD_CTX_new() else { throw libraryFault() }
            defer { unsafe EVP_MD_CTX_free(context) }
            var key: OpaquePointer?
            guard unsafe EVP_DigestSignInit_ex(context, &key, scheme.digestName, nil, nil, pointer, nil) == 1,
                let key = unsafe key, unsafe Self.prepare(key, scheme)
            else { throw libraryFault() }
            var count = 0
            guard unsafe EVP_DigestSign(context, nil, &count, octets, octets.count) == 1, (1...0xffff).contains(count) else {
                throw libraryFault()
            }
            var signature = [UInt8](repeating: 0, count: count)
            guard unsafe EVP_DigestSign(context, &signature, &count, octets, octets.count) == 1, count <= signature.count else {
                throw libraryFault()
            }
            signature.removeLast(signature.count - count)
            return signature
        }

        private static func prepare(_ key: OpaquePointer, _ scheme: SignatureScheme) -> Bool {
            switch scheme.family {
            case .rsaPKCS1:
                return unsafe EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PADDING) == 1
            case .rsaPSS:
                // The mask's hash is the signature's unless told otherwise. A salt of exactly the digest's length: any other is refused.
                return unsafe EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) == 1
                    && EVP_PKEY_CTX_set_rsa_pss_saltlen(key, RSA_PSS_SALTLEN_DIGEST) == 1
            case .ecdsa, .ecdsaConcatenated, .ed25519:
                return true
            }
        }
    }
}

extension SignatureScheme {
    /// The name that the library fetches the hash by; nil where the signature has its own.
    fileprivate var digestName: String? {
        switch hash {
        case .sha1: HashFunction.sha1.libraryName
        case .sha256: HashFunction.sha256.libraryName
        case .sha384: HashFunction.sha384.libraryName
        case .sha512: HashFunction.sha512.libraryName
        default: nil
        }
    }
}
