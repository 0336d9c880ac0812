//go:build unix

package pgtest

// Dir returns the directory that holds everything of the server.
func Dir(s *Server) string { return s.dir }
