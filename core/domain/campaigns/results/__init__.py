"""What campaigns achieved: holdouts, attribution, figures, lift, and reports that stay."""
