package import GatewayCrypto
package import IKEMessages
import Wire

/// The seven secrets of an IKE SA, RFC 7296 section 2.14.
package struct SAKeys: ~Copyable, Sendable {
    let prf: PRF
    let d: SecretOctets
    let ai: SecretOctets
    let ar: SecretOctets
    let ei: SecretOctets
    let er: SecretOctets
    let pi: SecretOctets
    let pr: SecretOctets

    /// SKEYSEED = prf(Ni | Nr, g^ir), with the first 64 bits of each nonce where the PRF has keys of one length only; then
    /// {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr).
    package init(
        prf: PRF, suite: ProtectionSuite, sharedSecret: borrowing SecretOctets,
        initiatorNonce: [UInt8], responderNonce: [UInt8], initiatorSPI: IKESPI, responderSPI: IKESPI
    ) throws(CryptoError) {
        let seed = try prf(key: prf.nonceKey(initiator: initiatorNonce, responder: responderNonce), sharedSecret)
        try self.init(
            prf: prf, suite: suite, seed: seed, initiatorNonce: initiatorNonce, responderNonce: responderNonce,
            initiatorSPI: initiatorSPI, responderSPI: responderSPI)
    }

    /// The keys of an IKE SA that replaces another, RFC 7296 section 2.18: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr) with the old SA's PRF.
    package init(
        rekeying old: borrowing SAKeys, prf: PRF, suite: ProtectionSuite, sharedSecret: borrowing SecretOctets,
        initiatorNonce: [UInt8], responderNonce: [UInt8], initiatorSPI: IKESPI, responderSPI: IKESPI
    ) throws(CryptoError) {
        var input = sharedSecret.copy()
        input.append(initiatorNonce + responderNonce)
        let seed = try old.prf(key: old.d, input)
        try self.init(
            prf: prf, suite: suite, seed: seed, initiatorNonce: initiatorNonce, responderNonce: responderNonce,
            initiatorSPI: initiatorSPI, responderSPI: responderSPI)
    }

    private init(
        prf: PRF, suite: ProtectionSuite, seed: borrowing SecretOctets,
        initiatorNonce: [UInt8], responderNonce: [UInt8], initiatorSPI: IKESPI, responderSPI: IKESPI
    ) throws(CryptoError) {
        var salt = initiatorNonce + responderNonce
        salt.append(bigEndian: initiatorSPI)
        salt.append(bigEndian: responderSPI)
        let encryption = suite.encryptionKeyLength
        let integrity = suite.integrityKeyLength
        let key = prf.keyLength
        let material = try prf.plus(key: seed, seed: salt, count: 3 * key + 2 * (encryption + integrity))
        var cut = 0
        func next(_ length: Int) -> Range<Int> {
            defer { cut += length }
            return cut..<cut + length
        }
        // Taken first and assigned then: an initialiser that throws half-way could not give up what it holds.
        let d = try material.slice(next(key))
        let ai = try material.slice(next(integrity))
        let ar = try material.slice(next(integrity))
        let ei = try material.slice(next(encryption))
        let er = try material.slice(next(encryption))
        let pi = try material.slice(next(key))
        let pr = try material.slice(next(key))
        self.prf = prf
        self.d = d
        self.ai = ai
        self.ar = ar
        self.ei = ei
        self.er = er
        self.pi = pi
        self.pr = pr
    }

    /// KEYMAT = prf+(SK_d, Ni | Nr), cut as RFC 7296 section 2.17 says: all keys of the initiator's direction first, encryption before integrity.
    /// `role` is ours in the exchange that makes the Child SA, whichever it is in the IKE SA.
    package borrowing func childKeys(
        suite: ProtectionSuite, initiatorNonce: [UInt8], responderNonce: [UInt8], as role: Role = .responder
    ) throws(CryptoError) -> ChildKeys {
        try childKeys(suite: suite, seed: SecretOctets(copying: initiatorNonce + responderNonce), as: role)
    }

    /// The same with an exchange's own key exchange: KEYMAT = prf+(SK_d, g^ir | Ni | Nr).
    package borrowing func childKeys(
        suite: ProtectionSuite, secret: borrowing SecretOctets, initiatorNonce: [UInt8], responderNonce: [UInt8], as role: Role = .responder
    ) throws(CryptoError) -> ChildKeys {
        var seed = secret.copy()
        seed.append(initiatorNonce + responderNonce)
        return try childKeys(suite: suite, seed: seed, as: role)
    }

    private borrowing func childKeys(
        suite: ProtectionSuite, seed: borrowing SecretOctets, as role: Role
    ) throws(CryptoError) -> ChildKeys {
        let encryption = suite.encryptionKeyLength
        let integrity = suite.integrityKeyLength
        let half = encryption + integrity
        let material = try prf.plus(key: d, seed: seed, count: 2 * half)
        // Where the initiator's direction is ours, it is the second half that we receive with.
        let inbound = role == .responder ? 0 : half
        let outbound = half - inbound
        return ChildKeys(
            inboundEncryption: try material.slice(inbound..<inbound + encryption),
            inboundIntegrity: try material.slice(inbound + encryption..<inbound + half),
            outboundEncryption: try material.slice(outbound..<outbound + encryption),
            outboundIntegrity: try material.slice(outbound + encryption..<outbound + half))
    }
}

/// The keys of a Child SA as this gateway uses them; inbound is what the client sends.
package struct ChildKeys: ~Copyable, Sendable {
    package let inboundEncryption: SecretOctets
    package let inboundIntegrity: SecretOctets
    package let outboundEncryption: SecretOctets
    package let outboundIntegrity: SecretOctets
}
