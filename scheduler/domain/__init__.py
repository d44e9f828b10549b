"""The nouns: values that every floor above speaks in. Standard library only, nothing that acts."""
