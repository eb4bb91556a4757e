// Package arm is the front door that speaks Azure Resource Manager over HTTPS.
//
// One table of resource types, each with its api-versions and operations, drives three things: routing, the metadata
// that the providers API shows, and the texts of errors about unknown types and versions. A handler gets a [Call] that
// is already authenticated, authorized, bounded and parsed; it decodes, calls the domain, and encodes.
package arm
