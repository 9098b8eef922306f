package import GatewayCrypto
package import IKEMessages
package import Wire

/// The key derivations of RFC 7296 sections 2.14, 2.15 and 2.17, written out here once more so that the gateway's cannot agree with itself.
package enum Derivation {
    /// SKEYSEED = prf(Ni | Nr, g^ir); of each nonce the first 8 octets with AES-XCBC, whose keys have one length.
    package static func seed(
        _ prf: PRF, initiatorNonce: [UInt8], responderNonce: [UInt8], shared: borrowing SecretOctets
    ) throws(CryptoError) -> SecretOctets {
        let taken = prf.number == .aesXCBC ? 8 : Int.max
        return try prf(key: SecretOctets(copying: Array(initiatorNonce.prefix(taken) + responderNonce.prefix(taken))), shared)
    }

    /// SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr) with the PRF of the old IKE SA, RFC 7296 section 2.18.
    package static func rekeyedSeed(
        _ prf: PRF, derivation key: borrowing SecretOctets, shared: consuming SecretOctets, initiatorNonce: [UInt8],
        responderNonce: [UInt8]
    ) throws(CryptoError) -> SecretOctets {
        var text = shared
        text.append(initiatorNonce + responderNonce)
        return try prf(key: key, text)
    }

    /// {SK_d | SK_ai | ...} = prf+ (SKEYSEED, Ni | Nr | SPIi | SPIr).
    package static func material(
        _ prf: PRF, seed: borrowing SecretOctets, initiatorNonce: [UInt8], responderNonce: [UInt8],
        initiatorSPI: IKESPI, responderSPI: IKESPI, count: Int
    ) throws(CryptoError) -> SecretOctets {
        var text = initiatorNonce + responderNonce
        text.append(bigEndian: initiatorSPI)
        text.append(bigEndian: responderSPI)
        return try prf.plus(key: seed, seed: text, count: count)
    }

    /// KEYMAT = prf+(SK_d, [g^ir (new) |] Ni | Nr), RFC 7296 section 2.17.
    package static func childMaterial(
        _ prf: PRF, derivation key: borrowing SecretOctets, shared: consuming SecretOctets? = nil,
        initiatorNonce: [UInt8], responderNonce: [UInt8], count: Int
    ) throws(CryptoError) -> SecretOctets {
        guard var text = shared else {
            return try prf.plus(key: key, seed: initiatorNonce + responderNonce, count: count)
        }
        text.append(initiatorNonce + responderNonce)
        return try prf.plus(key: key, seed: text, count: count)
    }

    /// What each side signs: message | nonce of the other side | prf(SK_p, identification body), RFC 7296 section 2.15.
    package static func signedOctets(
        _ prf: PRF, message: [UInt8], otherNonce: [UInt8], identity body: [UInt8], identityKey: borrowing SecretOctets
    ) throws(CryptoError) -> [UInt8] {
        message + otherNonce + (try prf(key: identityKey, body)).exposed()
    }

    /// AUTH = prf(prf(Shared Secret, "Key Pad for IKEv2"), signed octets).
    package static func authentication(
        _ prf: PRF, presharedKey: [UInt8], message: [UInt8], otherNonce: [UInt8],
        identity body: [UInt8], identityKey: borrowing SecretOctets
    ) throws(CryptoError) -> [UInt8] {
        let padded = try prf(key: SecretOctets(copying: presharedKey), [UInt8]("Key Pad for IKEv2".utf8))
        let octets = try signedOctets(prf, message: message, otherNonce: otherNonce, identity: body, identityKey: identityKey)
        return try prf(key: padded, octets).exposed()
    }
}

/// The algorithms of an IKE SA.
package struct IKESuite: Hashable, Sendable {
    package let prf: PRF
    package let protection: ProtectionSuite
    package let keyExchange: KeyExchangeMethod

    package static func == (left: IKESuite, right: IKESuite) -> Bool {
        left.prf == right.prf && left.protection == right.protection && left.keyExchange == right.keyExchange
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(prf.number)
        hasher.combine(protection)
        hasher.combine(keyExchange)
    }
}

/// The keys of an IKE SA, RFC 7296 section 2.14, cut in the order given there.
final class IKEKeys {
    let suite: IKESuite
    let derivation: SecretOctets
    let initiatorIntegrity: SecretOctets
    let responderIntegrity: SecretOctets
    let initiatorEncryption: SecretOctets
    let responderEncryption: SecretOctets
    let initiatorIdentity: SecretOctets
    let responderIdentity: SecretOctets

    /// Of the first IKE SA.
    convenience init(
        _ suite: IKESuite, shared: borrowing SecretOctets, initiatorNonce: [UInt8], responderNonce: [UInt8],
        initiatorSPI: IKESPI, responderSPI: IKESPI
    ) throws(CryptoError) {
        let seed = try Derivation.seed(
            suite.prf, initiatorNonce: initiatorNonce, responderNonce: responderNonce, shared: shared)
        try self.init(
            suite, seed: seed, initiatorNonce: initiatorNonce, responderNonce: responderNonce, initiatorSPI: initiatorSPI,
            responderSPI: responderSPI)
    }

    /// Of an IKE SA that replaces another.
    convenience init(
        rekeying old: IKEKeys, _ suite: IKESuite, shared: consuming SecretOctets, initiatorNonce: [UInt8], responderNonce: [UInt8],
        initiatorSPI: IKESPI, responderSPI: IKESPI
    ) throws(CryptoError) {
        let seed = try Derivation.rekeyedSeed(
            old.suite.prf, derivation: old.derivation, shared: shared, initiatorNonce: initiatorNonce, responderNonce: responderNonce)
        try self.init(
            suite, seed: seed, initiatorNonce: initiatorNonce, responderNonce: responderNonce, initiatorSPI: initiatorSPI,
            responderSPI: responderSPI)
    }

    private init(
        _ suite: IKESuite, seed: borrowing SecretOctets, initiatorNonce: [UInt8], responderNonce: [UInt8],
        initiatorSPI: IKESPI, responderSPI: IKESPI
    ) throws(CryptoError) {
        let prf = suite.prf
        let integrity = suite.protection.integrityKeyLength
        let encryption = suite.protection.encryptionKeyLength
        let all = try Derivation.material(
            prf, seed: seed, initiatorNonce: initiatorNonce, responderNonce: responderNonce,
            initiatorSPI: initiatorSPI, responderSPI: responderSPI,
            count: 3 * prf.keyLength + 2 * integrity + 2 * encryption)
        var at = 0
        func range(_ count: Int) -> Range<Int> {
            defer { at += count }
            return at..<at + count
        }
        let derivation = try all.slice(range(prf.keyLength))
        let initiatorIntegrity = try all.slice(range(integrity))
        let responderIntegrity = try all.slice(range(integrity))
        let initiatorEncryption = try all.slice(range(encryption))
        let responderEncryption = try all.slice(range(encryption))
        let initiatorIdentity = try all.slice(range(prf.keyLength))
        let responderIdentity = try all.slice(range(prf.keyLength))
        self.suite = suite
        self.derivation = derivation
        self.initiatorIntegrity = initiatorIntegrity
        self.responderIntegrity = responderIntegrity
        self.initiatorEncryption = initiatorEncryption
        self.responderEncryption = responderEncryption
        self.initiatorIdentity = initiatorIdentity
        self.responderIdentity = responderIdentity
    }
}

/// Copies of an IKE SA's keys, for tests and for reading a capture.
package struct ExposedKeys: Equatable, Sendable {
    package let d, ai, ar, ei, er, pi, pr: [UInt8]

    init(_ keys: IKEKeys) {
        d = keys.derivation.exposed()
        ai = keys.initiatorIntegrity.exposed()
        ar = keys.responderIntegrity.exposed()
        ei = keys.initiatorEncryption.exposed()
        er = keys.responderEncryption.exposed()
        pi = keys.initiatorIdentity.exposed()
        pr = keys.responderIdentity.exposed()
    }
}
