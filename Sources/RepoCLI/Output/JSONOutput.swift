import Foundation

/// JSON as the command line writes it: snake_case names, sorted, slashes as they are.
enum JSONOutput {
    /// One object on one line.
    static func line(_ value: some Encodable) -> String { encode(value, []) }

    /// For results that people may look at.
    static func pretty(_ value: some Encodable) -> String { encode(value, [.prettyPrinted]) }

    private static func encode(_ value: some Encodable, _ extra: JSONEncoder.OutputFormatting) -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = extra.union([.sortedKeys, .withoutEscapingSlashes])
        guard let data = try? encoder.encode(value) else {
            preconditionFailure("results hold nothing that JSON cannot")
        }
        return String(decoding: data, as: UTF8.self)
    }
}
