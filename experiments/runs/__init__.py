"""What a search leaves behind: folders, ledgers, tables, pictures, pages."""
