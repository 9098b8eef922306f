internal import Wire

/// Our own key for signatures. It stays in the library's memory, which the library wipes when the last user goes (threats.md P28).
package struct PrivateKey: Sendable {
    package let publicKey: PublicKey
    private let key: LibCrypto.SignatureKey

    /// Reads a file's octets: PEM or DER, PKCS #8 (encrypted as well) or the older forms of RSA and EC keys; the first private key of a PEM file.
    /// An empty passphrase is none. Throws `.malformed`, `.passphraseNeeded`, `.wrongPassphrase`, what `PublicKey` throws, and `.inconsistent`.
    package init(_ file: borrowing SecretOctets, passphrase: borrowing SecretOctets) throws(KeyError) {
        key = try LibCrypto.SignatureKey(privateKey: file, passphrase: passphrase)
        publicKey = try PublicKey(subjectPublicKeyInfo: try key.publicKey())
        // A key pair put together wrongly would give itself away at the first login only.
        let probe = Array("a probe".utf8)
        guard let scheme = publicKey.scheme(peerHashes: SignatureHashAlgorithm.announced, preferringPSS: false),
            let signature = try? sign(probe, by: scheme), (try? publicKey.verify(signature, over: probe, by: scheme)) != nil
        else { throw .inconsistent }
    }

    /// Reads a file that is not encrypted; throws as the other.
    package init(_ file: borrowing SecretOctets) throws(KeyError) {
        try self.init(file, passphrase: SecretOctets(count: 0))
    }

    /// The signature over these octets, as the AUTH payload has it (method 14: behind the AlgorithmIdentifier, see `DigitalSignature`). Takes
    /// milliseconds with RSA: not for the login path's thread. Throws `.wrongKey`, `.library`.
    package func sign(_ octets: [UInt8], by scheme: SignatureScheme) throws(SignatureError) -> [UInt8] {
        guard scheme.fits(publicKey.kind) else { throw .wrongKey }
        guard let signature = try? key.signature(over: octets, by: scheme) else { throw .library }
        guard case .ecdsaConcatenated = scheme.family else { return signature }
        guard let octets = try? Self.concatenated(signature, length: publicKey.kind.length) else { throw .library }
        return octets
    }

    /// r | s out of SEQUENCE { r, s }.
    private static func concatenated(_ signature: [UInt8], length: Int) throws(WireError) -> [UInt8] {
        var octets = unsafe signature.span.bytes
        let whole = try octets.element(0x30)
        var numbers = unsafe whole.span.bytes
        var result: [UInt8] = []
        for _ in 0..<2 {
            let digits = try numbers.unsignedInteger()
            guard digits.count <= length else { throw .badLength }
            result += [UInt8](repeating: 0, count: length - digits.count) + digits
        }
        return result
    }
}
