import IKEMessages

/// IKE_SA_INIT_FULL_TRANSCRIPT_AUTH, draft-ietf-ipsecme-ikev2-downgrade-prevention section 5: where both sides announced it, AUTH of each covers
/// the message that it received before the one that it sent, so that a stolen key of one side lowers nothing unseen (threats.md P10).
enum FullTranscript {
    /// ZeroPrefix. RFC 7296's signed octets begin with the initiator's SPI, which is never zero, so that neither kind passes for the other.
    private static let zeroPrefix = [UInt8](repeating: 0, count: 8)

    /// In every IKE_SA_INIT response that accepts, whether the client announced it or not.
    static let announcement = Payload.notify(NotifyPayload(.fullTranscriptAuthentication))

    /// What stands in the place of the own first message.
    static func octets(received: [UInt8], sent: [UInt8]) -> [UInt8] { zeroPrefix + received + sent }
}
