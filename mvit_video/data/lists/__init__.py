"""Lists of videos: text files, folders and the official files of data sets."""
