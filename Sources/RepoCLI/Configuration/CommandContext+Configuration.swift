extension CommandContext {
    func configuration() throws -> Configuration { Configuration() }
}
