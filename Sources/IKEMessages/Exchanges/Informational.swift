/// INFORMATIONAL, RFC 7296 section 1.4: notifies, deletes, configuration; empty as a liveness check.
package struct InformationalMessage: Equatable, Sendable {
    package let deletes: [DeletePayload]
    package let notifies: Notifies
    package let configuration: ConfigurationPayload?

    package init(payloads: [Payload]) throws(MessageError) {
        let sorted = try SortedPayloads(payloads, PayloadRule.informational)
        deletes = sorted.deletes
        notifies = sorted.notifies
        configuration = sorted.configuration
    }
}
