// Package abac reads and evaluates conditions of role assignments in version 2.0 of Azure's language for them. It knows nothing of roles:
// a condition is a text, what it is asked about are facts. Source: "Azure role assignment condition format and syntax", learn.microsoft.com.
package abac
