/// Caps on everything that a message can repeat (threats.md C3).
package enum MessageLimits {
    package static let payloads = 64
    package static let proposals = 32
    package static let transformsPerProposal = 64
    package static let attributesPerTransform = 16
    package static let trafficSelectors = 32
    package static let notifies = 32
    package static let certificates = 10
    package static let certificateRequests = 10
    package static let vendorIDs = 32
    package static let deletePayloads = 8
    package static let deletedSPIs = 128
    package static let configurationAttributes = 64
    /// Octets of a Certificate payload.
    package static let certificateSize = 16_384
    /// Octets of an identity.
    package static let identitySize = 2048
    /// Octets of a whole message, beyond which nothing is even parsed.
    package static let messageSize = 65_535
}
