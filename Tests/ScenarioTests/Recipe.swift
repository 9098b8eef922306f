import Foundation
import Lab

/// The client's swanctl.conf that `make run` prints for a configuration file (contrib/quickstart/how-to-connect).
enum Recipe {
    static func swanctl(_ scenario: Scenario, for configuration: String, in namespace: Namespace? = nil) async throws -> String {
        try swanctl(in: try await scenario.run([script("how-to-connect"), configuration], in: namespace).required())
    }

    /// A script of contrib/quickstart.
    static func script(_ name: String) -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return root.appendingPathComponent("contrib/quickstart/\(name)").path
    }

    /// The swanctl.conf in what was printed.
    static func swanctl(in text: String) throws -> String {
        guard let begin = text.range(of: "connections {"), let end = text.range(of: "\nthen there:") else {
            throw LabError("how-to-connect prints no connections:\n\(text)")
        }
        return String(text[begin.lowerBound..<end.lowerBound]) + "\n"
    }
}
