import GatewayCrypto
import Wire

/// Why octets are no certificate that we look at.
package enum CertificateError: Error, Hashable, Sendable {
    /// More than `Certificate.maximumSize` octets.
    case tooLarge
    case encoding(DERError)
    case textEncoding(PEM.Failure)
    /// A version other than 1, 2 and 3, or extensions before version 3.
    case version
    /// The signature algorithm inside what is signed is not the one outside.
    case signatureAlgorithmMismatch
    /// An RSA key outside 1024 ... 8192 bits, or an exponent that is even or above 64 bits.
    case rsaKey
    /// The same extension twice (RFC 5280 section 4.2).
    case repeatedExtension
    /// More alternative names than `Certificate.maximumAlternativeNames`.
    case tooManyNames
    /// More name constraints than `Certificate.maximumNameConstraints`.
    case tooManyConstraints
    /// An extension that we must understand and cannot read.
    case badExtension(ObjectIdentifier)
}

extension CertificateError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooLarge: "larger than \(Certificate.maximumSize) octets"
        case .encoding(let error): "not DER as RFC 5280 has it (\(error))"
        case .textEncoding(let error): "not PEM as RFC 7468 has it (\(error))"
        case .version: "a version other than 1, 2 and 3, or extensions in versions 1 and 2"
        case .signatureAlgorithmMismatch: "two different signature algorithms in one certificate"
        case .rsaKey: "an RSA key outside 1024 ... \(SubjectKey.maximumRSABits) bits, or an exponent that is even or above 64 bits"
        case .repeatedExtension: "the same extension twice"
        case .tooManyNames: "more than \(Certificate.maximumAlternativeNames) alternative names"
        case .tooManyConstraints: "more than \(Certificate.maximumNameConstraints) name constraints"
        case .badExtension: "an extension that cannot be read"
        }
    }
}

/// An X.509 certificate as a value, RFC 5280 section 4.1: read once, with every cap of threats.md C3; nothing in it is trusted yet.
package struct Certificate: Sendable {
    package static let maximumSize = 16 * 1024
    package static let maximumAlternativeNames = 128
    package static let maximumNameConstraints = 128
    private static let maximumExtensions = 64

    /// As it came.
    package let der: [UInt8]
    /// 1, 2 or 3.
    package let version: Int
    /// An INTEGER's content octets.
    package let serialNumber: [UInt8]
    package let issuer: DistinguishedName
    package let notBefore: CertificateTime
    package let notAfter: CertificateTime
    package let subject: DistinguishedName
    /// SubjectPublicKeyInfo in DER, for signatures.
    package let subjectPublicKeyInfo: [UInt8]
    package let subjectKey: SubjectKey
    /// SHA-1 of the SubjectPublicKeyInfo, which CERTREQ carries (RFC 7296 section 3.7).
    package let publicKeyHash: [UInt8]
    package let signatureAlgorithm: ObjectIdentifier
    package let extensions: CertificateExtensions

    package var subjectAlternativeNames: [GeneralName] { extensions.subjectAlternativeNames }
    package var isSelfIssued: Bool { subject == issuer }

    /// Both ends belong to it, RFC 5280 section 4.1.2.5.
    package func isValid(at time: CertificateTime) -> Bool { notBefore <= time && time <= notAfter }

    /// Of a CERT payload's data: DER and nothing behind it. Throws what is wrong first.
    package init(der: [UInt8]) throws(CertificateError) {
        guard der.count <= Self.maximumSize else { throw .tooLarge }
        do throws(DERError) {
            try DER.scan(der)
        } catch {
            throw .encoding(error)
        }
        do {
            try self.init(scanned: der)
        } catch let error as DERError {
            throw .encoding(error)
        } catch let error as CertificateError {
            throw error
        } catch {
            throw .encoding(.badValue)
        }
    }

    /// Of a file, PEM or DER; of several certificates the first (features.md PKI-2).
    package init(file: [UInt8]) throws(CertificateError) {
        guard let first = try Self.all(inFile: file).first else { throw .textEncoding(.missing) }
        self = first
    }

    /// Every certificate of a PEM file, or the one of a DER file.
    package static func all(inFile file: [UInt8]) throws(CertificateError) -> [Certificate] {
        guard PEM.isText(file) else { return [try Certificate(der: file)] }
        let blocks: [PEM.Block]
        do throws(PEM.Failure) {
            blocks = try PEM.blocks(file)
        } catch {
            throw .textEncoding(error)
        }
        var certificates: [Certificate] = []
        for block in blocks where block.label == "CERTIFICATE" || block.label == "X509 CERTIFICATE" {
            certificates.append(try Certificate(der: block.octets))
        }
        return certificates
    }

    package var pem: String { PEM.encode("CERTIFICATE", der) }

    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue BIT STRING }
    // TBSCertificate ::= SEQUENCE { [0] version DEFAULT 1, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo,
    //                               [1] issuerUniqueID OPTIONAL, [2] subjectUniqueID OPTIONAL, [3] extensions OPTIONAL }
    private init(scanned der: [UInt8]) throws {
        var file = DERCursor(der)
        var certificate = file.inside(try file.next(DER.Tag.sequence))
        try file.finish()
        var signed = certificate.inside(try certificate.next(DER.Tag.sequence))
        let outerAlgorithm = try certificate.next(DER.Tag.sequence)
        _ = try certificate.bitString(try certificate.next(DER.Tag.bitString))
        try certificate.finish()

        var version = 1
        if let element = try signed.optional(DER.Tag.constructedContext(0)) {
            var inner = signed.inside(element)
            version = try inner.smallInteger(try inner.next(DER.Tag.integer)) + 1
            try inner.finish()
        }
        guard (1...3).contains(version) else { throw CertificateError.version }
        self.version = version
        serialNumber = try signed.integer(try signed.next(DER.Tag.integer))
        guard serialNumber.count <= 32 else { throw DERError.badValue }
        let innerAlgorithm = try signed.next(DER.Tag.sequence)
        guard signed.whole(innerAlgorithm) == certificate.whole(outerAlgorithm) else { throw CertificateError.signatureAlgorithmMismatch }
        var algorithm = signed.inside(innerAlgorithm)
        signatureAlgorithm = try algorithm.objectIdentifier(try algorithm.next())
        issuer = try DistinguishedName(parsing: try signed.next(), of: signed)
        var validity = signed.inside(try signed.next(DER.Tag.sequence))
        notBefore = try CertificateTime(parsing: try validity.next(), of: validity)
        notAfter = try CertificateTime(parsing: try validity.next(), of: validity)
        try validity.finish()
        subject = try DistinguishedName(parsing: try signed.next(), of: signed)
        let keyElement = try signed.next(DER.Tag.sequence)
        subjectPublicKeyInfo = signed.whole(keyElement)
        subjectKey = try SubjectKey(parsing: keyElement, of: signed)
        publicKeyHash = Digest.sha1(subjectPublicKeyInfo)
        _ = try signed.optional(DER.Tag.context(1))
        _ = try signed.optional(DER.Tag.context(2))

        var extensions = CertificateExtensions()
        if let element = try signed.optional(DER.Tag.constructedContext(3)) {
            guard version == 3 else { throw CertificateError.version }
            var wrapper = signed.inside(element)
            var list = wrapper.inside(try wrapper.next(DER.Tag.sequence))
            try wrapper.finish()
            var seen: Set<ObjectIdentifier> = []
            // Extension ::= SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }
            while !list.isAtEnd {
                var item = list.inside(try list.next(DER.Tag.sequence))
                let type = try item.objectIdentifier(try item.next())
                let critical = try item.optional(DER.Tag.boolean)
                _ = try critical.map { try item.boolean($0) }
                let value = try item.next(DER.Tag.octetString)
                try item.finish()
                guard seen.count < Self.maximumExtensions else { throw DERError.tooMany }
                guard seen.insert(type).inserted else { throw CertificateError.repeatedExtension }
                try extensions.read(type, value, of: item)
            }
        }
        try signed.finish()
        self.extensions = extensions
        self.der = der
    }
}

extension Certificate: Hashable {
    package static func == (left: Certificate, right: Certificate) -> Bool { left.der == right.der }
    package func hash(into hasher: inout Hasher) { hasher.combine(der) }
}

extension Certificate: CustomStringConvertible {
    /// The subject, or the serial number of one that has none; printable ASCII.
    package var description: String { subject.isEmpty ? "serial \(serialNumber.hexadecimal)" : subject.description }
}
