import ArgumentParser
import Foundation
import GatewayCrypto
import IKEMessages
import PKI
import RoadWarrior
import Wire

/// The files behind `--cert`, `--key` and `--ca`. Paths and names of the gateway's certificate are checked here: the road warrior itself knows
/// signatures alone.
enum Credentials {
    /// A client's certificate with the intermediates that stand behind it in its file, and its key.
    struct Own {
        let certificate: RoadWarrior.Certificate
        /// The subject, for a client that is given no `--id`.
        let subject: IdentificationPayload
    }

    /// Throws a `ValidationError` that names the file.
    static func own(certificate: String, key: String, prefersPSS: Bool, scheme: SignatureScheme? = nil) throws -> Own {
        let chain = try certificates(certificate, option: "--cert")
        guard let first = chain.first else { throw ValidationError("--cert: \(certificate) holds no certificate") }
        let file = try SecretOctets(copying: contents(key, option: "--key"))
        let pair: PrivateKey
        do {
            pair = try PrivateKey(file)
        } catch {
            throw ValidationError("--key: \(key) is no key that can be used: \(error)")
        }
        guard pair.publicKey.subjectPublicKeyInfo == first.subjectPublicKeyInfo else {
            throw ValidationError("--key: \(key) is not the key of \(certificate)")
        }
        if let scheme, !scheme.fits(pair.publicKey.kind) {
            throw ValidationError("--signature: \(scheme) does not fit the key in \(key)")
        }
        var made = RoadWarrior.Certificate(chain: chain.map(\.der), key: pair)
        made.prefersPSS = prefersPSS
        made.scheme = scheme
        return Own(certificate: made, subject: IdentificationPayload(type: .derASN1DN, data: first.subject.der))
    }

    /// Trust in the CAs of a file; every certificate there is an anchor.
    static func trust(_ path: String) throws -> RoadWarrior.CertificateTrust {
        let authorities = try certificates(path, option: "--ca").map { certificate in
            do {
                return try CertificateAuthority(name: path, certificate: certificate, revocationCheck: .none, at: now)
            } catch {
                throw ValidationError("--ca: \(certificate) in \(path): \(error)")
            }
        }
        let anchors: TrustAnchors
        do {
            anchors = try TrustAnchors(authorities)
        } catch {
            throw ValidationError("--ca: \(path) must hold 1 to \(TrustAnchors.maximum) certificates")
        }
        return trust(anchors) { now }
    }

    static func trust(_ anchors: TrustAnchors, at time: @escaping @Sendable () -> CertificateTime) -> RoadWarrior.CertificateTrust {
        RoadWarrior.CertificateTrust(authorities: anchors.requests.authorities) { certificates, identity throws(RoadWarrior.Distrust) in
            try judge(certificates, identity, anchors, at: time())
        }
    }

    private static func judge(
        _ certificates: [[UInt8]], _ identity: IdentificationPayload, _ anchors: TrustAnchors, at time: CertificateTime
    ) throws(RoadWarrior.Distrust) -> PublicKey {
        let path: ValidatedPath
        do {
            path = try anchors.validate(certificates, purpose: .server, at: time)
        } catch {
            throw RoadWarrior.Distrust("\(error)")
        }
        guard let name = PeerIdentity(type: identity.type.rawValue, data: identity.data), path.endEntity.matches(name) else {
            throw RoadWarrior.Distrust("its certificate (\(path.endEntity)) is not for the name \(identity.words)")
        }
        do {
            return try PublicKey(subjectPublicKeyInfo: path.endEntity.subjectPublicKeyInfo)
        } catch {
            throw RoadWarrior.Distrust("its certificate's key is not one that we can use: \(error)")
        }
    }

    private static var now: CertificateTime { CertificateTime(unixSeconds: Int64(Date().timeIntervalSince1970)) }

    private static func certificates(_ path: String, option: String) throws -> [PKI.Certificate] {
        do {
            return try Certificate.all(inFile: contents(path, option: option))
        } catch let error as CertificateError {
            throw ValidationError("\(option): \(path): \(error)")
        }
    }

    /// What a file holds, but for one line end behind it.
    static func password(_ path: String) throws -> String {
        var octets = try contents(path, option: "--eap-password-file")
        if octets.last == UInt8(ascii: "\n") { octets.removeLast() }
        guard let text = String(validating: octets, as: UTF8.self) else {
            throw ValidationError("--eap-password-file: \(path) is not UTF-8")
        }
        return text
    }

    /// A variable of the environment, unless it is empty.
    static func variable(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func contents(_ path: String, option: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path), !data.isEmpty, data.count <= 1 << 20 else {
            throw ValidationError("\(option): \(path) cannot be read, is empty, or is longer than 1 MiB")
        }
        return [UInt8](data)
    }

    /// Signature schemes by the words of `--signature`.
    static let schemes: [String: SignatureScheme] = [
        "rsa-sha256": .rsaSHA256, "rsa-sha384": .rsaSHA384, "rsa-sha512": .rsaSHA512, "pss-sha256": .pssSHA256, "pss-sha384": .pssSHA384,
        "pss-sha512": .pssSHA512, "ecdsa-sha256": .ecdsaSHA256, "ecdsa-sha384": .ecdsaSHA384, "ecdsa-sha512": .ecdsaSHA512,
        "ed25519": .ed25519, "method1": .method1, "method9": .method9, "method10": .method10, "method11": .method11,
    ]
}
