"""A package in the plane: where dies and memory stacks stand, how hot each becomes, and how far the
package bows."""
