import Foundation
import Lab

/// The client's swanctl.conf that `make run` prints for a configuration file (contrib/quickstart/how-to-connect).
enum Recipe {
    static func swanctl(_ scenario: Scenario, for configuration: String) async throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let script = root.appendingPathComponent("contrib/quickstart/how-to-connect").path
        let text = try await scenario.run([script, configuration]).required()
        guard let begin = text.range(of: "connections {"), let end = text.range(of: "\nthen there:") else {
            throw LabError("how-to-connect prints no connections:\n\(text)")
        }
        return String(text[begin.lowerBound..<end.lowerBound]) + "\n"
    }
}
