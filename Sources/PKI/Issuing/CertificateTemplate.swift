/// What a certificate is to say; written as RFC 5280 section 4.1 has it and signed by whoever issues it.
package struct CertificateTemplate: Sendable {
    package var subject: DistinguishedName
    package var notBefore: CertificateTime
    package var notAfter: CertificateTime
    /// Most significant octet first, not negative.
    package var serialNumber: [UInt8]
    package var extensions: [Extension] = []

    package init(subject: DistinguishedName, notBefore: CertificateTime, notAfter: CertificateTime, serialNumber: [UInt8]) {
        self.subject = subject
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.serialNumber = serialNumber
    }

    package struct Extension: Hashable, Sendable {
        package var type: ObjectIdentifier
        package var isCritical: Bool
        /// DER of the value.
        package var value: [UInt8]

        package init(_ type: ObjectIdentifier, critical: Bool = false, _ value: [UInt8]) {
            self.type = type
            isCritical = critical
            self.value = value
        }
    }

    /// The certificate's octets: for the key of `subjectPublicKeyInfo`, issued under `issuer`'s name by `key`.
    package func issued(
        for subjectPublicKeyInfo: [UInt8], by issuer: DistinguishedName, key: IssuingKey, signature: CertificateSignature = .sha256
    ) throws(IssuingError) -> [UInt8] {
        guard let algorithm = signature.algorithm(for: key.subjectKey) else { throw .badValue }
        var parts = [
            DERWriting.explicit(0, DERWriting.integer(2)), DERWriting.integer(serialNumber), algorithm, issuer.der,
            DERWriting.sequence(notBefore.der, notAfter.der), subject.der, subjectPublicKeyInfo,
        ]
        if !extensions.isEmpty {
            let list = extensions.map { item in
                DERWriting.sequence(item.type.der, item.isCritical ? DERWriting.boolean(true) : [], DERWriting.octetString(item.value))
            }
            parts.append(DERWriting.explicit(3, DERWriting.sequence(list)))
        }
        let signed = DERWriting.sequence(parts)
        return DERWriting.sequence(signed, algorithm, DERWriting.bitString(try key.key.sign(signed, signature)))
    }
}

extension CertificateTemplate.Extension {
    package static func basicConstraints(isAuthority: Bool, maximumPathLength: Int? = nil) -> Self {
        Self(
            .basicConstraints, critical: true,
            DERWriting.sequence(
                isAuthority ? DERWriting.boolean(true) : [], maximumPathLength.map { DERWriting.integer($0) } ?? []))
    }

    package static func keyUsage(_ usage: CertificateExtensions.KeyUsage) -> Self {
        let bits = usage.rawValue
        let octets = bits & 0xff == 0 ? [UInt8(bits >> 8)] : [UInt8(bits >> 8), UInt8(bits & 0xff)]
        return Self(.keyUsage, critical: true, DERWriting.bitString(octets, unused: UInt8((octets.last ?? 0).trailingZeroBitCount & 7)))
    }

    package static func extendedKeyUsage(_ purposes: [ObjectIdentifier], critical: Bool = false) -> Self {
        Self(.extendedKeyUsage, critical: critical, DERWriting.sequence(purposes.map(\.der)))
    }

    package static func subjectAlternativeNames(_ names: [GeneralName], critical: Bool = false) -> Self {
        Self(.subjectAlternativeName, critical: critical, DERWriting.sequence(names.map(\.der)))
    }

    package static func subjectKeyIdentifier(_ identifier: [UInt8]) -> Self {
        Self(.subjectKeyIdentifier, DERWriting.octetString(identifier))
    }

    package static func authorityKeyIdentifier(_ identifier: [UInt8]) -> Self {
        Self(.authorityKeyIdentifier, DERWriting.sequence(DERWriting.element(DER.Tag.context(0), identifier)))
    }

    /// Subtrees by their base; an address range is `.other(0x87, address and mask)`.
    package static func nameConstraints(permitted: [GeneralName] = [], excluded: [GeneralName] = []) -> Self {
        func list(_ number: UInt8, _ names: [GeneralName]) -> [UInt8] {
            names.isEmpty ? [] : DERWriting.explicit(number, names.flatMap { DERWriting.sequence($0.der) })
        }
        return Self(.nameConstraints, critical: true, DERWriting.sequence(list(0, permitted), list(1, excluded)))
    }
}
